# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/gc.py: one job that cannot be removed keeps none of the others."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest

from imgcore.cli import gc as command
from imgcore.executor import KEPT
from imgcore.executor.vm import keeping
from imgcore.job import Status
from imgcore.jobs.gc import may_go
from imgcore.spool import Spool
from tests.support.records import add


@pytest.fixture
def interrupted(spool: Spool, tmp_path: Path) -> Spool:
    """Three jobs that failed; the removal of two was interrupted, and the first of them cannot be ended."""
    for image_id in ("a", "b", "c"):
        files = tmp_path / "images/requests" / image_id
        files.mkdir(parents=True)
        add(spool, image_id)
        with spool.start(image_id) as claim:
            claim.finish(Status.ERROR, directory=str(files))
    for image_id in ("a", "b"):
        assert spool.take_out(image_id, may_go)
    return spool


def cleaned(spool: Spool, *options: str | Path) -> object:
    """The exit code of `img gc`."""
    given = ["--spool", str(spool.root), "--state=failed", "--yes", *map(str, options)]
    return command.command.main(given, standalone_mode=False)


def test_a_removal_that_cannot_be_ended_stops_no_other(
    interrupted: Spool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (interrupted.removed / "a/job.json").write_text("{")
    assert cleaned(interrupted, "--outdir", tmp_path / "images", "--json") == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["failed"], [each["image_id"] for each in told["removed"]]) == (["a"], ["c"])
    assert "its record cannot be read" in said.err
    assert [each.name for each in interrupted.removed.iterdir()] == ["a"]
    assert interrupted.ids() == []


def test_one_whose_files_are_elsewhere_is_told_and_goes_when_that_place_is_named(
    interrupted: Spool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cleaned(interrupted) == 1
    assert "a is half removed: its files are elsewhere" in capsys.readouterr().err
    assert sorted(each.name for each in interrupted.removed.iterdir()) == ["a", "b"]
    assert cleaned(interrupted, "--outdir", tmp_path / "images") == 0
    assert list(interrupted.removed.iterdir()) == list((tmp_path / "images/requests").iterdir()) == []


def test_a_kept_machine_is_named_with_its_bytes_and_goes_with_its_job(
    spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    for image_id in ("a", "b"):
        add(spool, image_id)
        with spool.start(image_id) as claim:
            claim.finish(Status.ERROR)
    with tempfile.TemporaryFile() as written:
        written.write(b"x" * 300_000)
        written.flush()
        keeping.keep(written.fileno(), ["boot"], spool.directory("a") / KEPT)
    given = ["--spool", str(spool.root), "--state=failed"]
    command.command.main(given, standalone_mode=False)
    said = capsys.readouterr()
    (line,) = [each for each in said.err.splitlines() if "machine" in each]
    assert re.fullmatch(r"note: with a goes the virtual machine kept of it: 3\d\d\.\d KiB of that", line)
    command.command.main([*given, "--json"], standalone_mode=False)
    told = {each["image_id"]: each for each in json.loads(capsys.readouterr().out)["would_remove"]}
    assert told["a"]["bytes"] > told["a"]["machine_bytes"] >= 300_000
    assert told["b"]["machine_bytes"] == 0
    assert keeping.disk_of(spool.directory("a"))
    assert cleaned(spool, "--json") == 0
    freed = json.loads(capsys.readouterr().out)["freed"]
    assert freed == told["a"]["bytes"] + told["b"]["bytes"]
    assert list(spool.root.rglob("disk")) == []
