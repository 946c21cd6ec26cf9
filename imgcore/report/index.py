# SPDX-License-Identifier: GPL-2.0-or-later
"""The index: which jobs run, wait, have ended, and how; a page a month (or day) for what is too old for the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from imgcore.report import service, text, waiting
from imgcore.report.ledger import Group, Ledger
from imgcore.report.row import DAMAGED, ENDED, NEVER, STATES, UNDATED, Row, State

__all__ = ["Count", "Index", "Month", "Queued", "Running", "arrange"]

RECENT = 100
#: Of a month with more than this, each day has a page; so the first one has few links, however many there are.
MONTH = 500


@dataclass(frozen=True)
class Count:
    """How many jobs are in a state, and where on the page."""

    state: State
    number: int
    target: str


@dataclass(frozen=True)
class Month:
    """Everything that ended in one month, or on one day of a month that has too much for one page."""

    name: str
    days: tuple[Group, ...]
    #: The days of a month that has too much for one page: its own page leads to theirs.
    apart: tuple[Month, ...] = ()

    @property
    def pages(self) -> tuple[Month, ...]:
        """All that have a page, those that another leads to first."""
        return (*self.apart, self)

    @property
    def above(self) -> str:
        """The name of the month that leads to this day; empty of a month."""
        return self.name[:7] if self.name != self.name[:7] else ""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Its jobs, the newest first."""
        return tuple(row for day in self.days for row in day.newest())

    @property
    def number(self) -> int:
        """How many they are."""
        return sum(day.count() for day in self.days)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(day.count({"failed"}) for day in self.days)

    @property
    def counts(self) -> tuple[Count, ...]:
        """How many are in each state."""
        return _counts(self.days)

    @property
    def href(self) -> str:
        """The page's address, from the index."""
        return f"months/{self.name}.html"


@dataclass(frozen=True)
class Running:
    """A running job, and what is left of it by what such jobs took before; empty where nothing is known."""

    row: Row
    left: str


@dataclass(frozen=True)
class Queued:
    """A waiting job, and when it is expected to start; None where nobody can say."""

    row: Row
    start: text.Stamp | None
    wait: str


@dataclass(frozen=True)
class Index:
    """The first page, and the months behind it (none while the first page has room for all)."""

    running: tuple[Running, ...]
    queued: tuple[Queued, ...]
    damaged: tuple[Row, ...]
    finished: tuple[Row, ...]
    counts: tuple[Count, ...]
    total: int
    ended: int
    months: tuple[Month, ...]
    service: service.Service
    #: When the newest of all this happened.
    as_of: text.Stamp | None


def arrange(
    ledger: Ledger,
    now: datetime,
    disks: Sequence[service.Disk] = (),
    aside: Sequence[Row] = (),
    *,
    recent: int = RECENT,
) -> Index:
    """All lines in the order of the page; `aside` are those whose jobs are no longer among the others."""
    whole = ledger.whole
    building = list(whole.newest({"building"}))[::-1]
    # What is urgent goes before the rest.
    queued = sorted(whole.newest({"queued"}), key=lambda each: (not each.high, each.order))
    damaged = sorted([*whole.newest({DAMAGED.slug}), *aside], key=lambda each: each.order)
    newest = next(whole.newest(), None)
    ended = whole.count(ENDED)
    expected = waiting.expect(building, queued, ledger.names)
    return Index(
        running=tuple(
            Running(
                each, f"about {text.rough(seconds)} left" if (seconds := expected.left.get(each.image_id)) else ""
            )
            for each in building
        ),
        queued=tuple(_queued(each, expected.start.get(each.image_id), now) for each in queued),
        damaged=tuple(damaged),
        finished=tuple(islice(whole.newest(ENDED), recent)),
        counts=_counts([whole], damaged=len(damaged)),
        total=whole.count() + len(aside),
        ended=ended,
        months=_months(ledger.days) if ended > recent else (),
        service=service.service(ledger, building, queued, disks),
        as_of=text.stamp(newest.order[0]) if newest and newest.order[0] != NEVER else None,
    )


def _queued(row: Row, seconds: float | None, now: datetime) -> Queued:
    if seconds is None:
        return Queued(row, None, "")
    start = text.later(now, seconds)
    return Queued(row, text.stamp(start), f"in {text.rough(seconds)}" if seconds >= 1 else "next")


def _counts(groups: Sequence[Group], *, damaged: int = 0) -> tuple[Count, ...]:
    places = {"building": "running", "queued": "queued", "damaged": "damaged"}
    numbers = {each: sum(group.count({each.slug}) for group in groups) for each in STATES}
    numbers[DAMAGED] = damaged
    return tuple(
        Count(where, number, places.get(where.slug, "finished")) for where, number in numbers.items() if number
    )


def _months(days: Mapping[str, Group]) -> tuple[Month, ...]:
    months: dict[str, list[str]] = {}
    for day in sorted(days, key=lambda day: (day != UNDATED, day), reverse=True):
        months.setdefault(day[:7], []).append(day)
    found: list[Month] = []
    for name, within in months.items():
        month = Month(name, tuple(days[day] for day in within))
        if month.number > MONTH and name != UNDATED:
            month = replace(month, apart=tuple(Month(day, (days[day],)) for day in within))
        found.append(month)
    return tuple(found)
