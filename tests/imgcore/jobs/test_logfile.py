# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/logfile.py: which log is a job's."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore import process
from imgcore.jobs import logfile
from imgcore.spool import Spool
from tests.support.records import add


def test_it_is_the_one_beside_the_record_or_else_the_published_one(spool: Spool, tmp_path: Path) -> None:
    job = add(spool, directory=str(tmp_path), logfile_url="http://x/tiny-1/tiny.log")
    assert logfile.path_of(spool, job) == spool.log("tiny-1")
    (tmp_path / "tiny.log").touch()
    assert logfile.path_of(spool, job) == tmp_path / "tiny.log"
    spool.log("tiny-1").touch()
    assert logfile.path_of(spool, job) == spool.log("tiny-1")


@pytest.mark.parametrize("directory", ["relative", "", "/no\0where", "/nowhere", f"/{'n' * 300}"])
def test_a_place_that_cannot_be_is_none(spool: Spool, directory: str) -> None:
    job = add(spool, directory=directory, logfile_url="http://x/tiny.log")
    assert logfile.path_of(spool, job) == spool.log("tiny-1")


def test_where_it_is_instead_is_told_by_its_address_or_the_machine(spool: Spool) -> None:
    assert logfile.elsewhere(add(spool, "a")) == logfile.elsewhere(add(spool, "b", worker=process.this())) == ""
    assert logfile.elsewhere(add(spool, "c", worker={"host": "far"})) == "on far"
    assert logfile.elsewhere(add(spool, "d", worker={"host": "far"}, logfile_url="http://far/l")) == "http://far/l"
