# SPDX-License-Identifier: GPL-2.0-or-later
"""What came of jobs, in figures: how long one was built, what it delivered, how often they succeed. A leaf."""

from __future__ import annotations

from datetime import UTC, datetime

from imgcore.amounts import moment
from imgcore.job import Job, Status

__all__ = ["delivered", "success", "took"]

_IMAGES = ("image", "archive")


def took(job: Job, now: datetime | None = None) -> float:
    """Seconds from the start of the build to its end, or to `now` while it is built; 0 before."""
    began = moment(job.started_at)
    ended = moment(job.finished_at) or ((now or datetime.now(UTC)) if job.status is Status.BUILDING else None)
    return max(0.0, (ended - began).total_seconds()) if began and ended else 0.0


def delivered(job: Job) -> int:
    """Bytes of what can be booted or unpacked; of everything where nothing can."""
    main = [each for each in job.artifacts if each["kind"] in _IMAGES] or job.artifacts
    return sum(each["size"] for each in main)


def success(good: int, failed: int) -> int | None:
    """Per cent of the builds that made their image; None before the first has ended.

    Never rounded up to 100: a failure is to be seen.
    """
    return good * 100 // (good + failed) if good + failed else None
