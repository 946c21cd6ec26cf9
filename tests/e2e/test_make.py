# SPDX-License-Identifier: GPL-2.0-or-later
"""`make` tells what there is, and setting up ends with a remedy where it cannot go on."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.example import CHECKOUT

pytestmark = pytest.mark.real

NOTHING_INSTALLED = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a space in its path that nothing was set up in."""
    place = tmp_path / "my imager"
    (place / "conf").mkdir(parents=True)
    shutil.copy(CHECKOUT / "conf" / "setup", place / "conf")
    shutil.copy(CHECKOUT / "pyproject.toml", place)
    return place


def setup(checkout: Path, using: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "conf" / "setup", *arguments],
        capture_output=True, text=True, env=using, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_help_comes_without_an_argument_and_lists_every_target() -> None:
    targets = re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    told = subprocess.run(["make", "-s"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert {"demo", "test", "setup", "help"} <= set(targets)
    assert re.findall(r"^  make ([a-z-]+) +\S", told, re.MULTILINE) == targets


def test_a_network_that_is_not_there_ends_setting_up_with_one_line_and_a_remedy(
    checkout: Path, tmp_path: Path
) -> None:
    apt = "#!/bin/sh\necho 'W: Failed to fetch http://deb.debian.org/Release  Temporary failure resolving'\nexit 9\n"
    fakes = {"dpkg-query": NOTHING_INSTALLED, "apt-get": apt, "id": "#!/bin/sh\necho 0\n"}
    done = setup(checkout, environment(tmp_path / "bin", instead=fakes))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "Failed to fetch http://deb.debian.org/Release" in last
    assert "check the network and see build/setup.log" in last
    assert "Temporary failure resolving" in (checkout / "build" / "setup.log").read_text()
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("sudo", [None, "#!/bin/sh\nexit 1\n"], ids=["not there", "refuses"])
def test_a_user_without_sudo_is_told_what_to_type_as_root(checkout: Path, tmp_path: Path, sudo: str | None) -> None:
    fakes = {"dpkg-query": NOTHING_INSTALLED, "id": "#!/bin/sh\necho 1000\n", **({"sudo": sudo} if sudo else {})}
    done = setup(checkout, environment(tmp_path / "bin", without=["sudo"], instead=fakes))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "installing Debian packages needs root" in line
    assert "as root: apt-get install --no-install-recommends python3 python3-venv dnf" in line


def test_another_system_than_debian_is_told_what_it_takes(checkout: Path, tmp_path: Path) -> None:
    done = setup(checkout, environment(tmp_path / "bin", without=["apt-get", "dpkg-query"]))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "this is not a Debian system" in line and "createrepo-c" in line


def test_an_unknown_argument_is_named(checkout: Path, tmp_path: Path) -> None:
    done = setup(checkout, environment(tmp_path / "bin"), "everything")
    assert done.returncode == 2
    assert done.stderr == "setup: unknown argument everything (--help says what there is)\n"
