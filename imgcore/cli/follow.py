# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that others build, followed in the spool until the last one has ended."""

from __future__ import annotations

import time

import click

from imgcore.cli.terminal import note, shown
from imgcore.job import FINAL, GOOD, Job, Status
from imgcore.progress import Progress
from imgcore.spool import Spool

__all__ = ["follow"]

#: Between two looks at the records.
_SECONDS = 0.25


def follow(spool: Spool, ids: list[str], *, quiet: bool, told: bool) -> int:
    """Wait for the jobs, show how far they are, and tell (on standard output, if `told`) what came of each.

    Returns the exit code: 0 all images are there, 1 a build failed, 130 one was cancelled. Ctrl-C ends the waiting
    only.
    """
    jobs = {each: spool.read(each) for each in ids}
    try:
        with shown(quiet=quiet, verbose=False) as observer:
            while open_jobs := [each for each in jobs.values() if each.status not in FINAL]:
                observer.progress(_progress(list(jobs.values()), open_jobs))
                time.sleep(_SECONDS)
                for job in open_jobs:
                    jobs[job.image_id] = spool.read(job.image_id)
    except KeyboardInterrupt:
        left = [each for each, job in jobs.items() if job.status not in FINAL]
        note(f"the jobs go on without you; `img cancel {' '.join(left)}` would end them")
        return 130
    for each in jobs.values():
        _tell(each, told=told and not quiet)
    statuses = {each.status for each in jobs.values()}
    return 0 if statuses <= GOOD else 1 if Status.ERROR in statuses else 130


def _progress(jobs: list[Job], open_jobs: list[Job]) -> Progress:
    if len(jobs) == 1:
        (job,) = jobs
        if job.status is Status.IN_QUEUE:
            return Progress("in queue")
        total = 100 if job.progress else 0
        return Progress(job.phase or "start", int(job.progress * 100), total, job.progress_detail)
    building = [each.name for each in open_jobs if each.status is Status.BUILDING]
    return Progress("jobs", len(jobs) - len(open_jobs), len(jobs), ", ".join(building))


def _tell(job: Job, *, told: bool) -> None:
    if job.status in GOOD:
        if told:
            click.echo(job.image_url or job.files_url or job.image_id)
        return
    remedy = f" ({job.error_remedy})" if job.error_remedy else ""
    note(f"img: {job.image_id}: {job.status}{f': {job.error}' if job.error else ''}{remedy}")
