# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/report/inotify.py: who is told of, who is watched, what is said where the kernel gives too little.

tests/imgcore/report/test_watch.py has the process that lives by it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.report import inotify
from imgcore.report.inotify import Changes
from imgcore.spool import Spool
from tests.support import report_spool as jobs

#: Long enough for a busy machine; what has happened is told at once.
_LONG = 60.0


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    for image_id in ("a-1", "b-1", "c-1"):
        jobs.make(spool, image_id)
    return spool


@pytest.fixture
def remarks() -> list[str]:
    return []


@pytest.fixture
def changes(spool: Spool, remarks: list[str]) -> Iterator[Changes]:
    with Changes(spool, remarks.append) as made:
        yield made


def tag(spool: Spool, *image_ids: str) -> None:
    """Have their records replaced."""
    for image_id in image_ids:
        with spool.edit(image_id) as edit:
            edit.update(tags=(f"t{edit.job.revision}",))


def test_a_record_that_is_replaced_is_told_of_the_jobs_that_are_added_alone(spool: Spool, changes: Changes) -> None:
    changes.add(["a-1", "c-1"])
    tag(spool, "a-1", "b-1", "c-1")
    assert changes.within(_LONG) == {"a-1", "c-1"}


def test_of_the_files_of_a_job_its_record_alone_is_told_of(spool: Spool, changes: Changes) -> None:
    changes.add(["a-1"])
    (spool.root / "other").write_text("")
    (spool.root / "other").rename(spool.directory("a-1") / "other")
    assert changes.within(0) == set()


def test_a_job_that_comes_is_told_of_and_from_then_on_its_record_too(spool: Spool, changes: Changes) -> None:
    jobs.make(spool, "n-1")
    assert changes.within(_LONG) == {"n-1"}
    tag(spool, "n-1")
    assert changes.within(_LONG) == {"n-1"}


def test_a_change_of_state_and_a_removal_are_told_of_jobs_that_nobody_added(spool: Spool, changes: Changes) -> None:
    with spool.edit("a-1") as edit:
        edit.move(Status.CANCELLED, "enough")
    assert changes.within(_LONG) == {"a-1"}
    spool.set_aside("b-1", "gone")
    assert changes.within(_LONG) == {"b-1"}


def test_where_there_are_too_many_the_one_that_was_added_first_is_let_go_of(
    spool: Spool, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "MOST", 2)
    changes.add(["a-1", "b-1", "c-1"])
    changes.within(0)
    tag(spool, "a-1")
    assert changes.within(0) == set()
    tag(spool, "b-1", "c-1")
    assert changes.within(_LONG) == {"b-1", "c-1"}


def test_where_the_kernel_has_no_more_watches_the_oldest_makes_room_and_that_is_said_once(
    spool: Spool, changes: Changes, remarks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, given = Changes._watch, ["a-1"]

    def scarce(self: Changes, image_id: str) -> int:
        if len(self._ids) >= 1 and image_id not in given:
            given.append(image_id)  # the second time that it is asked for, there is room
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return watch(self, image_id)

    monkeypatch.setattr(Changes, "_watch", scarce)
    changes.add(["a-1", "b-1", "c-1"])
    assert [each.split(" (")[0] for each in remarks] == [
        "the kernel lets 1 jobs be watched, the newest: a tag or a pin of others is seen later; "
        "raise fs.inotify.max_user_watches"
    ]
    changes.within(0)
    tag(spool, "a-1", "b-1")
    assert changes.within(0) == set()
    tag(spool, "c-1")
    assert changes.within(_LONG) == {"c-1"}


def test_when_the_kernels_queue_ran_over_not_all_is_known(
    spool: Spool, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes.add(["a-1"])
    tag(spool, "a-1")
    read = os.read
    lost = struct.pack("iIII", -1, 0x4000, 0, 0)
    monkeypatch.setattr(os, "read", lambda descriptor, size: lost + read(descriptor, size))
    assert changes.within(_LONG) is None


def test_without_any_watch_it_says_so_and_sees_that_something_has_changed(
    spool: Spool, remarks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Changes, "_add", lambda self, path, mask: -1)
    with Changes(spool, remarks.append) as deaf:
        (said,) = remarks
        assert said.startswith("inotify cannot be had")
        deaf.add(["a-1"])
        assert deaf.within(0) == set()
        jobs.make(spool, "n-1")
        assert deaf.within(_LONG) is None
        assert deaf.within(0) == set()
        with spool.edit("n-1") as edit:
            edit.move(Status.CANCELLED, "enough")
        assert deaf.within(_LONG) is None
