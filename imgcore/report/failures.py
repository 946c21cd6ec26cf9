# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of failures: by cause, with what to do and how often of late; success by name, worker and executor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from imgcore.report import charts, success, text
from imgcore.report.ledger import Group, Ledger
from imgcore.report.related import page_of
from imgcore.report.row import ENDED, Row

__all__ = ["Cause", "Failures", "failures"]

WEEKS = 12
LISTED = 5
MOST = 200


@dataclass(frozen=True)
class Cause:
    """A kind of failure: how often, the last ones, what to do about the last, and the weeks as a picture."""

    name: str
    number: int
    share: int
    last: tuple[Row, ...]
    remedy: str
    weeks: charts.Chart | None


@dataclass(frozen=True)
class Failures:
    """The page; `groups` are what success is told by: a heading, and its lines (the first ones of very many)."""

    causes: tuple[Cause, ...]
    number: int
    whole: success.Success
    groups: tuple[tuple[str, tuple[success.Success, ...], int], ...]


def failures(ledger: Ledger) -> Failures:
    """All failures."""
    number = ledger.whole.count({"failed"})
    newest = ledger.whole.last(ENDED)
    causes = sorted(ledger.causes.items(), key=lambda item: (-item[1].count(), item[0]))
    return Failures(
        causes=tuple(_cause(name, group, number, newest) for name, group in causes),
        number=number,
        whole=success.success("all", ledger.whole),
        groups=tuple(
            (heading, found, sum(1 for each in groups.values() if each.count(ENDED)))
            for heading, groups, found in (
                ("name", ledger.names, success.grouped(ledger.names, MOST, page_of)),
                ("worker", ledger.workers, success.grouped(ledger.workers, MOST)),
                ("executor", ledger.executors, success.grouped(ledger.executors, MOST)),
            )
            if found
        ),
    )


def _cause(name: str, group: Group, number: int, newest: Row | None) -> Cause:
    last = tuple(islice(group.newest(), LISTED))
    return Cause(
        name=name,
        number=group.count(),
        share=round(group.count() * 100 / number),
        last=last,
        remedy=last[0].remedy,
        weeks=_weeks(group, newest.order[0]) if newest else None,
    )


def _weeks(group: Group, newest: datetime) -> charts.Chart | None:
    """How many of them there were in each of the last weeks, up to the day of the newest job of all."""
    if not 1 < newest.year < 9999:
        return None
    end = datetime(newest.year, newest.month, newest.day, tzinfo=UTC) + timedelta(days=1)
    values = []
    for ago in range(WEEKS, 0, -1):
        start = end - timedelta(weeks=ago)
        number = group.between("failed", start, start + timedelta(weeks=1))
        values.append((float(number), "failed", f"{7 * ago} to {7 * (ago - 1)} days before"))
    return charts.bars(f"The last {WEEKS} weeks", values, text.count, room=WEEKS)
