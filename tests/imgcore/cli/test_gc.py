# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/gc.py: one job that cannot be removed keeps none of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgcore.cli import gc as command
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
