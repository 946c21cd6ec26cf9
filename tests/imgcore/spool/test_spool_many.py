# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that 64 processes that make, take and finish 10,000 jobs in one spool lose none and take none twice."""

import collections
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.jobs import fsck
from imgcore.spool import Spool
from tests.support.records import a_job, validate_spool
from tests.support.scratch import in_memory

PROCESSES = 64
JOBS = 10_000


def work(root: Path, number: int, notes: Path) -> None:
    """Make this process's share, and take whatever is there until all jobs are finished."""
    spool = Spool(root)
    mine = [each for each in range(JOBS) if each % PROCESSES == number]
    taken: list[str] = []
    while True:
        if mine:
            spool.create(a_job(f"job-{mine.pop()}"), kickstart=b"x")
            # Some more makers than takers at first, so that the queue grows and is fought for.
            if len(mine) % 3:
                continue
        claim = spool.claim(f"worker-{number}")
        if claim is not None:
            taken.append(claim.image_id)
            claim.update(phase="install", progress=0.5)
            claim.finish(Status.DONE if len(taken) % 10 else Status.ERROR, error="" if len(taken) % 10 else "tenth")
        elif not mine:
            if len(spool.ids()) == JOBS and not spool.ids(Status.IN_QUEUE):
                break
            time.sleep(0.2)
    (notes / str(number)).write_text("\n".join(taken))
    os._exit(0)


@pytest.fixture(autouse=True)
def every_record_is_as_the_schema_says() -> None:
    """At the end, all at once: 40,000 checks on the way would be most of the work."""


@pytest.mark.timeout(600)
def test_64_processes_make_take_and_finish_10000_jobs_and_none_is_lost_or_taken_twice() -> None:
    context = multiprocessing.get_context("fork")
    with in_memory() as base:
        root, notes = base / "spool", base / "notes"
        Spool(root)
        notes.mkdir()
        workers = [context.Process(target=work, args=(root, number, notes)) for number in range(PROCESSES)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        assert [each.exitcode for each in workers] == [0] * PROCESSES
        taken = collections.Counter(line for note in notes.iterdir() for line in note.read_text().splitlines())
        expected = {f"job-{number}" for number in range(JOBS)}
        assert set(taken) == expected
        assert set(taken.values()) == {1}
        spool = Spool(root)
        assert set(spool.ids(Status.DONE)) | set(spool.ids(Status.ERROR)) == expected == set(spool.ids())
        assert validate_spool(root) == JOBS
        for job in spool.jobs():
            assert job.revision == 4, job
            assert [event["to"] for event in spool.history(job.image_id)] == ["IN QUEUE", "BUILDING", str(job.status)]
        assert fsck.check(spool) == []
