# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/log.py: logs of jobs whose worker died, or that another machine has built."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore import process
from imgcore.cli import log
from imgcore.errors import ImagerError
from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.records import add


def printed(spool: Spool, *options: str) -> object:
    """The exit code of `img log` of the one job there is."""
    return log.command.main(["tiny-1", "--spool", str(spool.root), *options], standalone_mode=False)


@pytest.mark.parametrize("said", ["t it began\nt half a li", None], ids=["log", "no-log"])
def test_following_ends_with_the_worker_and_says_so(
    spool: Spool, said: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(spool)
    with spool.edit("tiny-1") as edit:
        # Nobody holds its lock.
        edit.move(Status.BUILDING, worker=process.this("w"))
    if said:
        spool.log("tiny-1").write_text(said)
    monkeypatch.setattr(log.time, "sleep", lambda seconds: pytest.fail("it waits for a dead worker"))
    assert printed(spool, "-f") == 1
    told = capsys.readouterr()
    assert told.out == (f"{said}\n" if said else "")
    assert "its worker has died" in told.err


@pytest.mark.parametrize("follow", [(), ("-f",)], ids=["once", "follow"])
def test_the_log_of_what_another_machine_has_built_is_the_published_one(
    spool: Spool, tmp_path: Path, follow: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    built_elsewhere(spool, directory=str(tmp_path), logfile_url="http://far/images/tiny.log")
    (tmp_path / "tiny.log").write_text("t first\nt last\n")
    assert printed(spool, "-n1", *follow) == 0
    assert capsys.readouterr().out == "t last\n"


@pytest.mark.parametrize("follow", [(), ("-f",)], ids=["once", "follow"])
@pytest.mark.parametrize(("url", "where"), [("http://far/tiny.log", "http://far/tiny.log"), ("", "on far")])
def test_a_log_that_is_not_here_is_an_error_that_says_where_it_is(
    spool: Spool, url: str, where: str, follow: tuple[str, ...]
) -> None:
    built_elsewhere(spool, logfile_url=url)
    with pytest.raises(ImagerError, match="not on this machine") as refused:
        printed(spool, *follow)
    assert (refused.value.exit_code, refused.value.remedy) == (1, f"it is {where}")


def test_a_job_that_waits_has_said_nothing_yet(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    add(spool)
    assert printed(spool) == 0
    assert capsys.readouterr() == ("", "")


def built_elsewhere(spool: Spool, **fields: str) -> None:
    """A job that a worker of another machine has ended."""
    add(spool)
    with spool.edit("tiny-1") as edit:
        edit.move(Status.BUILDING, worker={"host": "far", "pid": 1})
        edit.move(Status.DONE, **fields)
