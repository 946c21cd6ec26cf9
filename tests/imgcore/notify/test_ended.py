# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/ended.py, and that every way in which a job ends is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.builds.cancelling import cancel
from imgcore.errors import SpoolError
from imgcore.job import Status
from imgcore.notify import ended
from imgcore.spool import Spool
from tests.support.letters import end
from tests.support.records import add, child


def test_where_nobody_wants_to_be_told_nothing_is_noted(spool: Spool) -> None:
    end(spool)
    assert not ended.wanted(spool.root)
    assert not (spool.root / "notices").exists()


def test_every_end_is_noted_and_nothing_else(spool: Spool) -> None:
    ended.begin(spool.root)
    assert ended.wanted(spool.root)
    end(spool, "done")
    end(spool, "failed", Status.ERROR, error="no")
    add(spool, "cancelled")
    cancel(spool, "cancelled", "me")
    with spool.edit("done") as edit:
        edit.note("pinned", pinned=True)
        edit.move(Status.TESTED, "good")
    add(spool, "waits")
    assert ended.noted(spool.root) == [("cancelled", 2), ("done", 3), ("done", 5), ("failed", 3)]
    ended.forget(spool.root, "done", 3)
    assert ended.noted(spool.root) == [("cancelled", 2), ("done", 5), ("failed", 3)]


def test_a_job_whose_worker_died_is_noted_when_that_is_found(spool: Spool) -> None:
    ended.begin(spool.root)
    add(spool)
    with child(spool, "claim = spool.start('tiny-1')\nimport os; os._exit(9)") as worker:
        worker.wait(20)
    assert ended.noted(spool.root) == []
    assert [job.image_id for job in spool.recover_all()] == ["tiny-1"]
    assert ended.noted(spool.root) == [("tiny-1", 3)]


def test_it_is_noted_before_the_record_says_so(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    ended.begin(spool.root)
    statuses: list[Status] = []
    note = ended.note

    def look(root: Path, image_id: str, seq: int) -> None:
        note(root, image_id, seq)
        statuses.append(spool.read(image_id).status)

    monkeypatch.setattr(ended, "note", look)
    end(spool)
    assert statuses == [Status.BUILDING]


def test_a_job_ends_also_where_that_cannot_be_noted(spool: Spool) -> None:
    ended.begin(spool.root)
    (spool.root / "notices/ended").rmdir()
    (spool.root / "notices/ended").write_text("in the way")
    end(spool)
    assert spool.read("tiny-1").status is Status.DONE
    with pytest.raises(SpoolError):
        ended.noted(spool.root)


def test_files_that_are_none_of_ours_are_passed_over(spool: Spool) -> None:
    ended.begin(spool.root)
    for name in ("x", "~3", "a~", "a~b", ".a.tmp"):
        (spool.root / "notices/ended" / name).touch()
    ended.note(spool.root, "a~b", 3)
    assert ended.noted(spool.root) == [("a~b", 3)]
