# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/image.py: what a command line asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from imgcore.cli import image
from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.spool import Spool

KICKSTART = "repo --name=a --baseurl=http://a\n%packages\nbase\n%end\n"


def given(*arguments: str) -> dict[str, Any]:
    """What the options make of arguments."""
    found: dict[str, Any] = {}
    command = click.command()(image.request(lambda **options: found.update(options)))
    assert CliRunner().invoke(command, arguments).exit_code == 0
    return found


def test_the_options_become_the_fields_of_a_workitem(tmp_path: Path) -> None:
    path = tmp_path / "device.ks"
    path.write_text(f"# -*-mic2-options-*- -f loop --arch=armv7hl -*-mic2-options-*-\n{KICKSTART}")
    made = image.asked_for(Config(), path, given("--package=x", "--package=y", "--timeout=2m", "--tokenmap=A:b"))
    fields = made.fields.image
    assert (fields.name, fields.arch, fields.image_type) == ("device", "armv7hl", "loop")
    assert (fields.packages, fields.timeout, fields.tokenmap) == (["x", "y"], 120, {"A": "b"})
    made = image.asked_for(Config(), path, given("--type=raw", "--arch=i686", "--name=n"))
    assert (made.fields.image.name, made.fields.image.arch, made.fields.image.image_type) == ("n", "i686", "raw")


def test_included_files_are_part_of_what_is_asked_for_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "more.ks").write_text("%packages\nextra\n%end\n")
    path = tmp_path / "device.ks"
    path.write_text(f"{KICKSTART}%include more.ks\n")
    text = image.asked_for(Config(), path, given("--package=x")).fields.image.kickstart
    assert "extra" in text and "%include" not in text and "x\n" not in text.split("%packages")[1]
    path.write_text(KICKSTART)
    assert image.asked_for(Config(), path, given("--package=x")).fields.image.kickstart == KICKSTART


def test_what_was_asked_for_is_recorded_and_what_is_built_gets_the_same_id(tmp_path: Path) -> None:
    path = tmp_path / "device.ks"
    path.write_text(KICKSTART)
    config = Config(spool=tmp_path / "spool")
    asked = image.asked_for(config, path, given("--package=x", "--prefix=p"))
    made = image.augmented(config, asked)
    image_id = image.recorded(config, asked, made)
    assert made.fields.image.image_id == image_id
    assert "x" in made.fields.image.kickstart.split("%packages")[1]
    job = Spool(config.spool).read(image_id)
    assert (job.packages, job.prefix) == (("x",), "p")
    assert Spool(config.spool).kickstart(image_id).decode() == KICKSTART


@pytest.mark.parametrize(
    ("options", "says"), [(("--timeout=soon",), "--timeout"), (("--timeout=0",), "no time to build in")]
)
def test_a_timeout_is_a_time(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    path = tmp_path / "device.ks"
    path.write_text(KICKSTART)
    with pytest.raises(InputError, match=says):
        image.asked_for(Config(), path, given(*options))
