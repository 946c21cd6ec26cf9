# SPDX-License-Identifier: GPL-2.0-or-later
"""What many jobs have in common: how many ended how, how long that took, why they failed. Of any listing of jobs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from imgcore.job import GOOD, Job, Status
from imgcore.jobs import outcome

__all__ = ["Group", "Stats", "of"]


@dataclass
class Group:
    """The jobs that share a name (a worker, …)."""

    good: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Seconds of each build that made its image.
    seconds: list[float] = field(default_factory=list)
    last_good: str = ""
    last_failed: str = ""

    @property
    def success(self) -> int | None:
        """Per cent of the builds that made their image; None before the first has ended."""
        return outcome.success(self.good, self.failed)

    @property
    def median(self) -> float:
        """Seconds that half of the builds with an image took at most."""
        return statistics.median(self.seconds) if self.seconds else 0.0

    def add(self, job: Job) -> None:
        """Count a job; the newest come first."""
        if job.status in GOOD:
            self.good += 1
            self.last_good = self.last_good or job.image_id
            if seconds := outcome.took(job):
                self.seconds.append(seconds)
        elif job.status is Status.ERROR:
            self.failed += 1
            self.last_failed = self.last_failed or job.image_id
        elif job.status is Status.CANCELLED:
            self.cancelled += 1


@dataclass
class Stats:
    """All of it. Keys are what the records have; `delivered` is bytes of images."""

    states: Counter[Status] = field(default_factory=Counter)
    names: dict[str, Group] = field(default_factory=dict)
    workers: dict[str, Group] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    all: Group = field(default_factory=Group)
    delivered: int = 0


def of(jobs: Iterable[Job]) -> Stats:
    """The statistics of `jobs`, the newest first."""
    found = Stats()
    for job in jobs:
        found.states[job.status] += 1
        found.all.add(job)
        found.names.setdefault(job.name, Group()).add(job)
        if worker := job.worker.get("name") or job.worker.get("host"):
            found.workers.setdefault(worker, Group()).add(job)
        if job.status is Status.ERROR:
            found.causes[job.error_cause or "unknown"] += 1
        found.delivered += outcome.delivered(job)
    return found
