# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything of one name: how its builds went, the last good and the last bad one, what changed in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from imgcore.errors import ImagerError
from imgcore.report import changes, charts, commands, success, text
from imgcore.report.howto import Step
from imgcore.report.ledger import Group
from imgcore.report.row import ENDED, GOOD, Row
from imgcore.spool import Spool

__all__ = ["NamePage", "interesting", "page"]

LISTED = 100
DRAWN = 60


@dataclass(frozen=True)
class NamePage:
    """The page of a name; `older` and `newer` are the last good and the last bad build in the order of their time."""

    name: str
    rows: tuple[Row, ...]
    total: int
    open: tuple[Row, ...]
    whole: success.Success
    good: Row | None
    bad: Row | None
    older: Row | None
    newer: Row | None
    changes: changes.Changes | None
    commands: tuple[Step, ...]
    charts: tuple[charts.Chart, ...]


def interesting(group: Group) -> tuple[Row | None, Row | None]:
    """The last good and the last bad build of `group`."""
    return group.last(GOOD), group.last({"failed"})


def page(spool: Spool, name: str, group: Group) -> NamePage:
    """The page of `name`; `group` has all its jobs."""
    ended = tuple(islice(group.newest(ENDED), LISTED))
    good, bad = interesting(group)
    older, newer = sorted((good, bad), key=lambda each: each.order) if good and bad else (None, None)
    return NamePage(
        name=name,
        rows=ended,
        total=group.count(ENDED),
        open=tuple(group.newest({"queued", "building"}))[::-1],
        whole=success.success(name, group),
        good=good,
        bad=bad,
        older=older,
        newer=newer,
        changes=_changes(spool, older, newer),
        commands=tuple(commands.between(good, bad)) if good and bad else (),
        charts=tuple(_charts(ended[:DRAWN][::-1])),
    )


def _changes(spool: Spool, older: Row | None, newer: Row | None) -> changes.Changes | None:
    if older is None or newer is None:
        return None
    try:
        return changes.since(spool, older, spool.read(newer.image_id))
    except ImagerError:
        return None


def _charts(rows: Sequence[Row]) -> Iterator[charts.Chart]:
    started = [each for each in rows if each.started]
    good = [each for each in rows if each.state.slug in GOOD]
    for label, drawn, amount, shown in (
        ("Duration", started, lambda row: row.seconds, text.duration),
        ("Size", good, lambda row: row.bytes, text.size),
        ("Packages", good, lambda row: text.number(row.package_count), text.count),
    ):
        values = [(amount(each), each.state.slug, each.image_id) for each in drawn]
        if chart := charts.bars(label, values, shown, room=20):
            yield chart
