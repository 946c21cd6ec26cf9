# SPDX-License-Identifier: GPL-2.0-or-later
"""What one job contributes to pages that show many: its line, kept instead of the record.

A row keeps what lines, charts and counts need and forgets the rest, so that it is read much faster than the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from imgcore import job as jobs
from imgcore.job import Job, Status
from imgcore.jobs.outcome import delivered, took
from imgcore.report import text

__all__ = [
    "DAMAGED",
    "ENDED",
    "GOOD",
    "NEVER",
    "STATES",
    "UNDATED",
    "Row",
    "State",
    "damaged_row",
    "page_name",
    "row",
    "state",
]

NEVER = datetime.min.replace(tzinfo=UTC)
UNDATED = "undated"


@dataclass(frozen=True)
class State:
    """A job's state: a word for style sheets, and the one for people."""

    slug: str
    label: str


_STATES = {
    Status.IN_QUEUE: State("queued", "In queue"),
    Status.BUILDING: State("building", "Building"),
    Status.DONE: State("done", "Done"),
    Status.TESTED: State("tested", "Done, tested"),
    Status.ERROR: State("failed", "Failed"),
    Status.CANCELLED: State("cancelled", "Cancelled"),
}
#: In the order in which they are told; a damaged record is in none of them.
STATES = tuple(_STATES[each] for each in (
    Status.BUILDING, Status.IN_QUEUE, Status.DONE, Status.TESTED, Status.ERROR, Status.CANCELLED,
))  # fmt: skip
DAMAGED = State("damaged", "Damaged record")
ENDED, GOOD = (frozenset(_STATES[each].slug for each in states) for states in (jobs.FINAL, jobs.GOOD))


@dataclass(frozen=True, slots=True)
class Row:
    """One job's line; `order` is the moment that it is sorted by."""

    image_id: str
    name: str
    state: State
    order: tuple[datetime, str]
    href: str
    image_type: str = ""
    arch: str = ""
    user: str = ""
    tags: tuple[str, ...] = ()
    started: datetime | None = None
    #: From start to end, or to now.
    seconds: float = 0.0
    #: Of what can be booted or unpacked.
    bytes: float = 0.0
    package_count: int = 0
    error: str = ""
    remedy: str = ""
    cause: str = ""
    phase: str = ""
    detail: str = ""
    percent: int = 0
    orphaned: bool = False
    high: bool = False
    retry_of: str = ""
    attempt: int = 1
    worker: str = ""
    executor: str = ""
    tool: str = ""
    directory: str = ""

    @property
    def what(self) -> str:
        """`raw x86_64`."""
        return f"{self.image_type} {self.arch}".strip()

    @property
    def kind(self) -> tuple[str, str]:
        """Architecture and type of its image: of one name, what can be compared."""
        return self.arch, self.image_type

    @property
    def day(self) -> str:
        """`2025-11-24`; `undated` where it has no time."""
        when = self.order[0]
        return f"{when.year:04}-{when.month:02}-{when.day:02}" if when != NEVER else UNDATED

    @property
    def time(self) -> text.Stamp | None:
        """When it happened."""
        return text.stamp(self.order[0]) if self.order[0] != NEVER else None

    @property
    def duration(self) -> str:
        """How long it took; empty where it was never started."""
        return text.duration(self.seconds) if self.started else ""

    @property
    def size(self) -> str:
        """How much it delivered."""
        return text.size(self.bytes) if self.bytes else ""

    @property
    def packages(self) -> str:
        """How many packages the image has."""
        return text.count(self.package_count) if self.package_count else ""


def page_name(image_id: str) -> str:
    """The address of a job's page, from the index."""
    return f"jobs/{quote(image_id, errors='surrogateescape')}/index.html"


def state(job: Job) -> State:
    """The job's state."""
    return _STATES[job.status]


def percent(fraction: object) -> int:
    """A fraction as a whole number from 0 to 100; whatever is none is 0."""
    if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        return 0
    return int(fraction * 100)


def cancelled_because(job: Job) -> str:
    """The reason that whoever cancelled the job gave; else what its worker said of it."""
    given = job.event.get("reason", "") if _was_cancelled(job) else ""
    return given or job.error


def _was_cancelled(job: Job) -> bool:
    """Whether the cancel is the last event; a note on it (a tag, a pin) is from a state to the same."""
    return job.event.get("to") == Status.CANCELLED != job.event.get("from")


def cancelled_by(job: Job) -> str:
    """Who cancelled the job; empty where nobody did, or the record does not say."""
    return job.event.get("who", "") if _was_cancelled(job) else ""


def worker(job: Job) -> str:
    """`worker-1 on host`: who builds, or built, it; empty where nobody has."""
    return " on ".join(each for each in (job.worker.get("name"), job.worker.get("host")) if each)


def row(job: Job, now: datetime, *, orphaned: bool = False) -> Row:
    """The line of a job whose record is whole."""
    where = state(job)
    ended = where.slug in ENDED
    when = (job.finished_at or job.updated_at if ended else job.started_at) or job.requested_at
    if where.slug == "queued":
        when = job.requested_at
    return Row(
        image_id=job.image_id,
        name=job.name,
        state=where,
        order=(text.moment(when) or NEVER, job.image_id),
        href=page_name(job.image_id),
        image_type=job.image_type,
        arch=job.arch,
        user=job.user,
        tags=job.tags,
        started=text.moment(job.started_at),
        seconds=took(job, now),
        bytes=text.number(delivered(job)),
        package_count=job.package_count,
        error={"failed": job.error, "cancelled": cancelled_because(job)}.get(where.slug, ""),
        remedy=job.error_remedy if where.slug == "failed" else "",
        cause=job.error_cause if where.slug == "failed" else "",
        phase=job.phase or "starting",
        detail=job.progress_detail if where.slug == "building" else "",
        percent=percent(job.progress),
        orphaned=orphaned,
        high=job.priority == "high",
        retry_of=job.retry_of,
        attempt=job.attempt,
        worker=worker(job),
        executor=job.executor,
        tool=job.tool,
        directory=job.directory,
    )


def damaged_row(image_id: str, reason: str, *, href: str = "", place: str = "") -> Row:
    """The line of a job whose record cannot be read."""
    return Row(image_id, image_id, DAMAGED, (NEVER, image_id), href, error=reason, detail=place)
