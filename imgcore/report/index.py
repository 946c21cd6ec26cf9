"""The index: which jobs run, wait, have ended, and how; a page a month for what is too old for the first.

A row keeps what its line needs and forgets the record, so that memory stays flat with a large spool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from imgcore.job import Job
from imgcore.report import artifacts, text
from imgcore.report.jobview import DAMAGED, State, cancelled_because, percent, state, took

__all__ = ["Count", "Index", "Month", "Row", "arrange", "damaged_row", "page_name", "row"]

RECENT = 100
_NEVER = datetime.min.replace(tzinfo=UTC)
_ENDED = {"done", "tested", "failed", "cancelled"}


@dataclass(frozen=True)
class Row:
    """One job's line; `order` is the moment that it is sorted by, `month` the page that it is also on."""

    image_id: str
    name: str
    state: State
    order: tuple[datetime, str]
    href: str
    what: str = ""
    user: str = ""
    tags: tuple[str, ...] = ()
    time: text.Stamp | None = None
    duration: str = ""
    size: str = ""
    packages: str = ""
    error: str = ""
    remedy: str = ""
    phase: str = ""
    detail: str = ""
    percent: int = 0
    orphaned: bool = False

    @property
    def month(self) -> str:
        """`2025-11`."""
        return self.order[0].strftime("%Y-%m").rjust(7, "0") if self.order[0] != _NEVER else "undated"


@dataclass(frozen=True)
class Count:
    """How many jobs are in a state, and where on the page."""

    state: State
    number: int
    target: str


@dataclass(frozen=True)
class Month:
    """Everything that ended in one month."""

    name: str
    rows: tuple[Row, ...]
    counts: tuple[Count, ...]

    @property
    def href(self) -> str:
        """The page's address, from the index."""
        return f"months/{self.name}.html"


@dataclass(frozen=True)
class Index:
    """The first page, and the months behind it (none while the first page has room for all)."""

    running: tuple[Row, ...]
    queued: tuple[Row, ...]
    damaged: tuple[Row, ...]
    finished: tuple[Row, ...]
    counts: tuple[Count, ...]
    total: int
    ended: int
    months: tuple[Month, ...]
    #: When the newest of all this happened.
    as_of: text.Stamp | None


def page_name(image_id: str) -> str:
    """The address of a job's page, from the index."""
    return f"jobs/{quote(image_id, errors='surrogateescape')}/index.html"


def row(job: Job, now: datetime, *, orphaned: bool = False) -> Row:
    """The line of a job whose record is whole."""
    where = state(job)
    ended = where.slug in _ENDED
    when = (job.finished_at or job.updated_at if ended else job.started_at) or job.requested_at
    if where.slug == "queued":
        when = job.requested_at
    seconds = took(job, now)
    length = artifacts.delivered(job.artifacts)
    return Row(
        image_id=job.image_id,
        name=job.name,
        state=where,
        order=(text.moment(when) or _NEVER, job.image_id),
        href=page_name(job.image_id),
        what=f"{job.image_type} {job.arch}",
        user=job.user,
        tags=tuple(job.tags),
        time=text.stamp(when) if when else None,
        duration=text.duration(seconds) if job.started_at else "",
        size=text.size(length) if length else "",
        packages=text.count(job.package_count) if job.package_count else "",
        error={"failed": job.error, "cancelled": cancelled_because(job)}.get(where.slug, ""),
        remedy=job.error_remedy if where.slug == "failed" else "",
        phase=job.phase or "starting",
        detail=job.progress_detail,
        percent=percent(job.progress),
        orphaned=orphaned,
    )


def damaged_row(image_id: str, reason: str, *, href: str = "", place: str = "") -> Row:
    """The line of a job whose record cannot be read."""
    return Row(image_id, image_id, DAMAGED, (_NEVER, image_id), href, error=reason, detail=place)


def arrange(rows: Sequence[Row], *, recent: int = RECENT) -> Index:
    """All lines in the order of the page."""

    def of(*slugs: str, newest: bool = False) -> tuple[Row, ...]:
        return tuple(sorted((each for each in rows if each.state.slug in slugs), key=_order, reverse=newest))

    ended = of(*_ENDED, newest=True)
    dated = [each for each in rows if each.order[0] != _NEVER]
    return Index(
        running=of("building"),
        queued=of("queued"),
        damaged=of("damaged"),
        finished=ended[:recent],
        counts=_counts(rows),
        total=len(rows),
        ended=len(ended),
        months=_months(ended) if len(ended) > recent else (),
        as_of=text.stamp(max(each.order[0] for each in dated)) if dated else None,
    )


def _order(each: Row) -> tuple[datetime, str]:
    return each.order


def _counts(rows: Sequence[Row]) -> tuple[Count, ...]:
    places = {"building": "running", "queued": "queued", "damaged": "damaged"}
    numbers: dict[State, int] = {}
    for each in rows:
        numbers[each.state] = numbers.get(each.state, 0) + 1
    shown = ("building", "queued", "done", "tested", "failed", "cancelled", "damaged")
    found = sorted(numbers.items(), key=lambda item: shown.index(item[0].slug))
    return tuple(Count(where, number, places.get(where.slug, "finished")) for where, number in found)


def _months(ended: Sequence[Row]) -> tuple[Month, ...]:
    by_month: dict[str, list[Row]] = {}
    for each in ended:
        by_month.setdefault(each.month, []).append(each)
    return tuple(Month(name, tuple(rows), _counts(rows)) for name, rows in by_month.items())
