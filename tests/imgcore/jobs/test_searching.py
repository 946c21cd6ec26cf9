# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/searching.py: where a text occurs."""

from __future__ import annotations

import json
from pathlib import Path

from imgcore.jobs.searching import PLACES, hits
from imgcore.spool import Spool
from tests.support.records import add


def test_a_text_is_found_in_each_place_whatever_its_case(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "tiny.manifest.json").write_text(json.dumps({"packages": [{"name": "UTFlib", "version": "1"}]}))
    job = add(spool, tags=("utf",), directory=str(tmp_path))
    spool.log("tiny-1").write_text("t0 nothing\nt1 has utf\n")
    found = list(hits(spool, job, "utf", PLACES))
    assert [(each.place, each.line) for each in found] == [
        ("record", 0),
        ("kickstart", 1),
        ("packages", 0),
        ("log", 2),
    ]
    assert found[1].text == "lang en_US.UTF-8"
    assert list(hits(spool, job, "utf", ("packages",))) == [found[2]]


def test_of_many_lines_the_first_are_told_and_of_a_long_one_what_is_around(spool: Spool) -> None:
    job = add(spool)
    spool.log("tiny-1").write_text(("x" * 5000 + "needle" + "y" * 5000 + "\n") * 9)
    found = list(hits(spool, job, "Needle", ("log",)))
    assert [each.line for each in found] == [1, 2, 3]
    assert all("needle" in each.text and len(each.text) < 210 for each in found)


def test_what_is_not_there_has_nothing(spool: Spool) -> None:
    job = add(spool, directory="/nowhere")
    (spool.directory("tiny-1") / "kickstart.ks").unlink()
    assert list(hits(spool, job, "lang", PLACES)) == []


def test_a_text_with_quotes_is_found_as_it_is_told(spool: Spool) -> None:
    job = add(spool, error='cannot open "x.rpm": é')
    for text in ('open "X.rpm"', 'open \\"x.rpm', '"error": "cannot', "é"):
        assert [each.place for each in hits(spool, job, text, ("record", "log"))] == ["record"]
    spool.log("tiny-1").write_text('t0 no "y.rpm"\n')
    assert [each.line for each in hits(spool, job, '"y.rpm"', ("log",))] == [1]
    assert list(hits(spool, job, '\\"y.rpm', ("log",))) == []
