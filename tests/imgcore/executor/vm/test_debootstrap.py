# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/debootstrap.py's refusals; a Debian is made in tests/e2e/test_vm_base.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcore.errors import BuildError, InputError
from imgcore.executor.vm import debootstrap, disk


def test_a_recipe_says_all_that_it_takes() -> None:
    assert debootstrap.recipe("trixie", "", ("mic", "g++")) == {
        "how": "debootstrap",
        "suite": "trixie",
        "mirror": "http://deb.debian.org/debian",
        "packages": ["mic", "g++"],
    }


@pytest.mark.parametrize(
    ("suite", "mirror", "package", "sentence"),
    [
        ("--foreign", "", "a", "field suite"),
        ("../x", "", "a", "field suite"),
        ("trixie", "--help", "a", "option --mirror: '--help' is not a repository URL"),
        ("trixie", "", "a,b", "field packages"),
        ("trixie", "", "--a", "field packages"),
    ],
)
def test_nothing_in_it_can_be_another_option(suite: str, mirror: str, package: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        debootstrap.recipe(suite, mirror, (package,))


def test_an_ordinary_user_is_told_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match=r"needs root .use sudo, or make the base of a kickstart"):
        debootstrap.make(debootstrap.recipe("trixie", "", ()), tmp_path, print)


def test_without_debootstrap_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(disk, "ENVIRONMENT", {"PATH": "/nonexistent"})
    with pytest.raises(BuildError, match="apt install debootstrap"):
        debootstrap.make(debootstrap.recipe("trixie", "", ()), tmp_path, print)
