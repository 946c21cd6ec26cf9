# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/selection.py: which jobs are meant, the newest first."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Any

import pytest

from imgcore.job import Status
from imgcore.jobs.selection import Selection
from imgcore.spool import Spool
from imgcore.spool.index import Index
from tests.support.records import a_job, add, damage


@pytest.fixture
def jobs(spool: Spool) -> Spool:
    add(spool, "tiny-1", requested_at="2026-01-01T00:00:00Z", tags=("nightly", "5.1"), user="maija")
    add(spool, "tiny-2", requested_at="2026-01-02T00:00:00Z", arch="aarch64", packages=("strace",), pinned=True)
    add(spool, "tv-1", requested_at="2026-01-03T00:00:00Z", name="tv", image_type="fs", tags=("nightly",))
    with spool.start("tv-1") as claim:
        claim.finish(Status.ERROR, error="Package busybocks is nowhere", error_cause="package-missing")
    return spool


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["tv-1", "tiny-2", "tiny-1"]),
        ({"states": (Status.ERROR,)}, ["tv-1"]),
        ({"states": (Status.ERROR, Status.IN_QUEUE)}, ["tv-1", "tiny-2", "tiny-1"]),
        ({"names": ("ti*",)}, ["tiny-2", "tiny-1"]),
        ({"names": ("tv", "nothing")}, ["tv-1"]),
        ({"archs": ("aarch64",)}, ["tiny-2"]),
        ({"types": ("fs",)}, ["tv-1"]),
        ({"users": ("m*",)}, ["tiny-1"]),
        ({"tags": ("nightly",)}, ["tv-1", "tiny-1"]),
        ({"tags": ("nightly", "5.*")}, ["tiny-1"]),
        ({"pinned": True}, ["tiny-2"]),
        ({"text": "BUSYBOCKS"}, ["tv-1"]),
        ({"text": "strace"}, ["tiny-2"]),
        ({"since": datetime(2026, 1, 2, tzinfo=UTC)}, ["tv-1", "tiny-2"]),
        ({"names": ("tiny",), "states": (Status.ERROR,)}, []),
    ],
)
def test_a_job_fits_all_that_is_asked_for(jobs: Spool, wanted: dict[str, Any], ids: list[str]) -> None:
    assert [job.image_id for job in Selection(**wanted).of(jobs)] == ids


def test_a_damaged_record_is_told_and_the_others_are_found(jobs: Spool) -> None:
    damage(jobs, "tiny-2")
    told: list[str] = []
    found = Selection().of(jobs, lambda error: told.append(error.image_id))
    assert [job.image_id for job in found] == ["tv-1", "tiny-1"]
    assert told == ["tiny-2"]


def test_the_newest_of_many_are_in_order_and_each_is_there_once(spool: Spool) -> None:
    index = Index(spool.root / "many")
    index.prepare()
    times = [f"2026-01-{1 + number % 28:02}T00:00:{number % 60:02}.{number:06}Z" for number in range(500)]
    made = [a_job(f"job-{number}", requested_at=time) for number, time in enumerate(times)]
    for number, job in enumerate(made):
        index.add(job, Status.DONE)
        if number % 7 == 0:  # as a crash leaves it: in two states
            index.add(job, Status.BUILDING)
    expected = [job.image_id for job in sorted(made, key=lambda job: job.requested_at, reverse=True)]
    assert list(index.newest(Status)) == expected


def test_jobs_of_a_name_are_found_without_reading_the_others(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        add(spool, f"a-{number}", name="a")
        add(spool, f"b-{number}", name="b")
    damage(spool, "b-1")
    told: list[str] = []
    found = Selection(names=("a",)).of(spool, lambda error: told.append(error.image_id))
    assert [job.image_id for job in found] == ["a-4", "a-3", "a-2", "a-1", "a-0"]
    assert told == []
    spool.take_out("a-4", lambda job: True)
    with spool.edit("a-3") as edit:
        edit.move(Status.CANCELLED)
    assert spool.take_out("a-3", lambda job: True)
    assert spool.index.lookup.ids("name", "a") == ["a-0", "a-1", "a-2", "a-4"]


def test_an_index_of_a_version_before_is_made_anew(spool: Spool) -> None:
    add(spool, "a-1", name="a")
    shutil.rmtree(spool.index.root / "by")
    for mark in spool.index.root.glob(".boot-*"):
        mark.rename(mark.with_name(mark.name.rpartition("-")[0]))
    assert [job.image_id for job in Spool(spool.root).newest(names=("a",))] == ["a-1"]
