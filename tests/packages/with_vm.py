# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves the package imager-vm: the example is built in a virtual machine where nothing but packages is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packages.with_apt import base
from tests.support import example
from tests.support.clean_root import Base, Root

__all__ = ["base"]

pytestmark = [pytest.mark.real, pytest.mark.vm, pytest.mark.timeout(1800)]

#: What `apt install imager` brings without recommendations, less what a build has no need of; and a kernel, which a
#: root has not.
_PACKAGES = ("imager-vm", "imager-creator", "imager-build-image", "imager-build-ks", "imager-request-image")
_BUILD = ("build", "/opt/tiny.ks", "--type", "fs", "--arch", "x86_64", "--executor", "vm", "--json")
_TOKENS = ("--tokenmap", "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi")


@pytest.fixture(scope="module")
def machine(base: Base) -> Iterator[Root]:
    with base.root("vm") as made:
        made.install(*_PACKAGES, "linux-image-amd64")
        made.copy(Path(example.repository()), "/opt/tiny")
        made.copy(example.EXAMPLE / "tiny.ks", "/opt/tiny.ks")
        yield made


def built(machine: Root, user: str = "") -> dict[str, Any]:
    done = machine.run("img", *_BUILD, *_TOKENS, user=user, check=False)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def test_the_user_of_the_services_builds_in_a_virtual_machine(machine: Root) -> None:
    record = built(machine, "imager")
    assert (record["status"], record["executor"]) == ("DONE", "vm")
    assert machine.run("stat", "-c", "%U", record["directory"]).stdout == "imager\n"


def test_root_builds_in_one_that_runs_as_a_user_without_rights(machine: Root) -> None:
    record = built(machine)
    assert (record["status"], record["executor"]) == ("DONE", "vm")
    assert machine.run("sh", "-c", "ls -d /tmp/imager-vm-* /var/tmp/imager-vm-* 2>/dev/null || :").stdout == ""
