# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/spool/lookup.py, and finding jobs by it."""

import shutil

import pytest

from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.records import a_job, add, damage


def test_jobs_are_found_by_a_field_oldest_first(spool: Spool) -> None:
    for image_id, step in (("b", "w!1"), ("a", "w!1"), ("c", "w!2")):
        add(spool, image_id, step=step)
    assert [job.image_id for job in spool.find("step", "w!1")] == ["b", "a"]
    assert spool.find("step", "w!3") == []
    assert spool.find("request_step", "w!1") == []


def test_no_value_finds_no_job(spool: Spool) -> None:
    add(spool)
    assert spool.find("step", "") == []


def test_a_job_is_found_by_what_its_record_says_now(spool: Spool) -> None:
    add(spool, "a")
    for step in ("first", "second"):
        with spool.edit("a") as edit:
            edit.update(step=step)
    assert spool.find("step", "first") == []
    assert [job.image_id for job in spool.find("step", "second")] == ["a"]


def test_a_job_is_found_by_the_step_that_a_transition_or_a_note_brings(spool: Spool) -> None:
    add(spool, "a")
    with spool.edit("a") as edit:
        edit.move(Status.BUILDING, "begun", "w", step="first")
    assert [job.image_id for job in spool.find("step", "first")] == ["a"]
    with spool.edit("a") as edit:
        edit.note("again", "w", step="second")
    assert [job.image_id for job in spool.find("step", "second")] == ["a"]


def test_whatever_a_value_holds_it_is_no_path(spool: Spool) -> None:
    for value in ("../../x", "/etc", "a\0b", "\ud800", "x" * 5000):
        add(spool, f"id{len(value)}", step=value)
        assert [job.step for job in spool.find("step", value)] == [value]


def test_a_job_that_is_gone_or_damaged_is_passed_over(spool: Spool) -> None:
    for image_id in ("a", "b", "c"):
        add(spool, image_id, step="w")
    shutil.rmtree(spool.directory("a"))
    damage(spool, "b")
    assert [job.image_id for job in spool.find("step", "w")] == ["c"]


@pytest.mark.parametrize("lost", ["index", "index/by"])
def test_the_entries_are_made_again_from_the_records(spool: Spool, lost: str) -> None:
    add(spool, "a", step="w", request_digest="d")
    shutil.rmtree(spool.root / lost)
    again = Spool(spool.root)
    assert again.find("step", "w") == again.find("request_digest", "d") == [again.read("a")]
    assert a_job().step == ""
