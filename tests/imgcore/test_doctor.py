# SPDX-License-Identifier: GPL-2.0-or-later
"""What `img doctor` looks at, and what it must not run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from imgcore import config, doctor
from imgcore.cli.setup import first
from imgcore.spool import Spool
from tests.support.img import Home

#: What doctor and setup have Python import, to see whether it is there.
_MODULES = ("libvirt", "dnf", "rpm", "imgcore")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Somebody's directory, with modules that tell when they are run."""
    place = tmp_path / "trap"
    place.mkdir()
    for name in _MODULES:
        (place / f"{name}.py").write_text(f"open({str(place / 'sprung')!r}, 'a').write({name!r})\n")
    return place


def test_modules_of_the_directory_that_one_stands_in_are_not_run(tmp_path: Path, trap: Path) -> None:
    done = Home(tmp_path / "home").img("doctor", "--json", directory=trap)
    assert json.loads(done.out), done.err
    assert not (trap / "sprung").exists()


def test_setup_starts_the_img_that_it_is_and_not_one_of_the_directory_that_one_stands_in(
    tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trap)
    Spool(tmp_path / "spool")
    settings = dataclasses.replace(config.load(files=[]), spool=tmp_path / "spool")
    asked = first.Asked(tmp_path / "first.ks", "fs", None, settings, None)
    done = first._img(asked, "jobs")
    assert not (trap / "sprung").exists()
    assert done.returncode == 0


@pytest.mark.parametrize("python_has_crypt", [True, False])
def test_openssl_is_looked_for_where_python_does_not_crypt_passwords(
    monkeypatch: pytest.MonkeyPatch, python_has_crypt: bool
) -> None:
    monkeypatch.setattr(doctor, "_runs", lambda command: python_has_crypt or "import crypt" not in command)
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path="": None)
    lacking = {each.packages for each in doctor.examine(config.load(files=[]))}
    assert (("openssl",) in lacking) is not python_has_crypt
