# SPDX-License-Identifier: GPL-2.0-or-later
"""A job in few words, for the commands that list jobs: what can stand in each column of their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from imgcore.amounts import duration, moment, size
from imgcore.job import Job, Status
from imgcore.jobs.outcome import delivered, took
from imgcore.jobs.selection import STATES

__all__ = ["COLUMNS", "RIGHT", "ago", "date", "word"]

_WORDS = {status: word for word, status in STATES.items()}


def word(job: Job) -> str:
    """Its state."""
    return _WORDS[job.status]


def date(time: str) -> str:
    """A time of the record to the second; UTC."""
    return time[:19].replace("T", " ")


def ago(time: str) -> str:
    """How long ago a time of the record is, in its largest unit."""
    when = moment(time)
    if when is None:
        return ""
    passed = max(0.0, (datetime.now(UTC) - when).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{passed // length:.0f} {unit} ago"
    return f"{passed:.0f} s ago"


def _doing(job: Job) -> str:
    if job.status is Status.BUILDING:
        return f"{job.phase or 'start'} {job.progress:.0%} {job.progress_detail}"
    return job.error if job.status in (Status.ERROR, Status.CANCELLED) else ""


#: What `img jobs --columns` can show.
COLUMNS: Mapping[str, Callable[[Job], str]] = {
    "id": lambda job: job.image_id,
    "state": word,
    "name": lambda job: job.name,
    "type": lambda job: job.image_type,
    "arch": lambda job: job.arch,
    "user": lambda job: job.user,
    "requested": lambda job: date(job.requested_at),
    "started": lambda job: date(job.started_at),
    "finished": lambda job: date(job.finished_at),
    "age": lambda job: ago(job.requested_at),
    "took": lambda job: duration(took(job)) if job.started_at else "",
    "size": lambda job: size(delivered(job)) if job.artifacts else "",
    "packages": lambda job: str(job.package_count or ""),
    "worker": lambda job: "/".join(filter(None, (job.worker.get("host"), job.worker.get("name")))),
    "attempt": lambda job: str(job.attempt),
    "priority": lambda job: job.priority,
    "pinned": lambda job: "pinned" if job.pinned else "",
    "tags": lambda job: " ".join(job.tags),
    "cause": lambda job: job.error_cause,
    "error": lambda job: job.error,
    "what": _doing,
}
#: Those whose ends are to be below each other.
RIGHT = frozenset({"TOOK", "SIZE", "PACKAGES", "ATTEMPT", "AGE"})
