# SPDX-License-Identifier: GPL-2.0-or-later
"""All rows, grouped by what pages tell of them, so that a change costs the same among a hundred jobs and a million.

Always: a group is what its rows are, in whatever order they came and went, so that a site that was kept up to date is
the one that would be made anew. Groups hold the numbers of rows, and only the file has the rows themselves.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path

from imgcore.report.row import DAMAGED, ENDED, GOOD, Row
from imgcore.report.rows import Rows, microseconds

__all__ = ["Group", "Kind", "Ledger"]

Order = tuple[datetime, str]
#: Architecture and type of an image.
Kind = tuple[str, str]


class Group:
    """Slots of rows by state and kind, each in the order of time; with the sum of what they delivered.

    Only if `timed` it knows how long they took: that has its price in a group of very many.
    """

    __slots__ = ("_lanes", "_rows", "_timed", "_took", "bytes", "digest")

    def __init__(self, rows: Rows, *, timed: bool = True) -> None:
        self._rows = rows
        self._timed = timed
        self._lanes: dict[tuple[str, Kind], array[int]] = {}
        #: How long the good ones took, the shortest first.
        self._took = array("f")
        self.bytes = 0
        #: Changes with each row.
        self.digest = 0

    def add(self, slot: int, row: Row, mark: int) -> None:
        """Take in the row in `slot`; `mark` tells its versions apart."""
        lane = self._lanes.setdefault((row.state.slug, row.kind), array("I"))
        lane.insert(self._place(lane, row.order), slot)
        if self._timed and row.state.slug in GOOD and row.seconds:
            insort(self._took, _single(row.seconds))
        self.bytes += int(row.bytes)
        self.digest ^= mark

    def remove(self, row: Row, mark: int) -> None:
        """Let go of a row that was taken in with that mark and still is in its slot."""
        key = row.state.slug, row.kind
        lane = self._lanes[key]
        del lane[self._place(lane, row.order)]
        if not lane:
            del self._lanes[key]
        if self._timed and row.state.slug in GOOD and row.seconds:
            del self._took[bisect_left(self._took, _single(row.seconds))]
        self.bytes -= int(row.bytes)
        self.digest ^= mark

    def count(self, slugs: Collection[str] | None = None) -> int:
        """How many there are in these states (all)."""
        return sum(map(len, self._chosen(slugs)))

    def newest(
        self, slugs: Collection[str] | None = None, *, kind: Kind | None = None, before: Order | None = None
    ) -> Iterator[Row]:
        """Those in these states and of this kind (all), the newest first; only what was earlier than `before`."""
        lanes = (self._falling(lane, before) for lane in self._chosen(slugs, kind))
        return heapq.merge(*lanes, key=_order, reverse=True)

    def after(self, order: Order, *, kind: Kind | None = None) -> Iterator[Row]:
        """Those of this kind (all) that are later, the earliest first."""
        return heapq.merge(*(self._rising(lane, order) for lane in self._chosen(kind=kind)), key=_order)

    def last(self, slugs: Collection[str]) -> Row | None:
        """The newest of these states."""
        return next(self.newest(slugs), None)

    def between(self, slug: str, start: datetime, end: datetime) -> int:
        """How many are in that state, from `start` to before `end`."""
        return sum(self._place(lane, (end, "")) - self._place(lane, (start, "")) for lane in self._chosen({slug}))

    def usual(self) -> float:
        """The median of what the good ones took, in seconds; 0 where nothing is known."""
        half = len(self._took) // 2
        if not self._took:
            return 0.0
        return self._took[half] if len(self._took) % 2 else (self._took[half - 1] + self._took[half]) / 2

    def longest(self) -> float:
        """The most that a good one took, in seconds; 0 where nothing is known."""
        return self._took[-1] if self._took else 0.0

    def _chosen(self, slugs: Collection[str] | None = None, kind: Kind | None = None) -> list[array[int]]:
        return [
            lane
            for (slug, what), lane in self._lanes.items()
            if (slugs is None or slug in slugs) and (kind is None or what == kind)
        ]

    def _place(self, lane: array[int], order: Order, *, side: Callable[..., int] = bisect_left) -> int:
        """Where a row of this order is in `lane`, or would be."""
        when, times = microseconds(order[0]), self._rows.times.__getitem__
        start = bisect_left(lane, when, key=times)
        end = bisect_right(lane, when, start, key=times)
        # Rows are read where more than one is of the same microsecond: hardly ever.
        return side(lane, order[1], start, end, key=lambda slot: self._rows.row(slot).image_id)

    def _falling(self, lane: array[int], before: Order | None) -> Iterator[Row]:
        end = len(lane) if before is None else self._place(lane, before)
        return (self._rows.row(lane[at]) for at in range(end - 1, -1, -1))

    def _rising(self, lane: array[int], after: Order) -> Iterator[Row]:
        start = self._place(lane, after, side=bisect_right)
        return (self._rows.row(lane[at]) for at in range(start, len(lane)))


class Ledger:
    """The rows of all jobs whose directory is in the spool; they lie in a nameless file in `place`.

    What adds a row raises OSError where the disk has no room, and leaves the ledger without that row.
    """

    def __init__(self, place: Path) -> None:
        self.rows = Rows(place)
        self.whole = Group(self.rows, timed=False)
        self.names: dict[str, Group] = {}
        #: Of those that have ended.
        self.days: dict[str, Group] = {}
        self.workers: dict[str, Group] = {}
        self.executors: dict[str, Group] = {}
        #: Of those that failed.
        self.causes: dict[str, Group] = {}
        #: The attempts at the job of an id.
        self.retries: dict[str, set[str]] = {}

    def put(self, row: Row, read: bytes) -> None:
        """Take in the row of a job, in the place of an earlier one; `read`, 16 bytes, is what it was read from."""
        self.drop(row.image_id)
        slot, mark = self.rows.put(row, read), _mark(row, read)
        self.whole.add(slot, row, mark)
        for groups, key in self._places(row):
            if key not in groups:
                groups[key] = Group(self.rows, timed=groups is not self.days)
            groups[key].add(slot, row, mark)
        if row.retry_of:
            self.retries.setdefault(row.retry_of, set()).add(row.image_id)

    def drop(self, image_id: str) -> Row | None:
        """Let go of the row of a job; None where there is none."""
        found = self.rows.find(image_id)
        if found is None:
            return None
        slot, row = found
        mark = _mark(row, self.rows.read(slot))
        self.whole.remove(row, mark)
        for groups, key in self._places(row):
            groups[key].remove(row, mark)
            if not groups[key].count():
                del groups[key]
        if row.retry_of:
            self.retries[row.retry_of].remove(image_id)
            if not self.retries[row.retry_of]:
                del self.retries[row.retry_of]
        self.rows.drop(image_id)
        return row

    def _places(self, row: Row) -> Iterator[tuple[dict[str, Group], str]]:
        if row.state == DAMAGED:
            return
        yield self.names, row.name
        if row.state.slug not in ENDED:
            return
        yield self.days, row.day
        if row.worker:
            yield self.workers, row.worker
        if row.executor:
            yield self.executors, row.executor
        if row.state.slug == "failed":
            yield self.causes, row.cause or "unknown"


def _mark(row: Row, read: bytes) -> int:
    """Tells the row from its other versions; a running job, whose figures are of the moment, has but one."""
    if row.state.slug == "building":
        read = hashlib.blake2b(row.image_id.encode("utf-8", "surrogatepass"), digest_size=len(read)).digest()
    return int.from_bytes(read)


def _single(seconds: float) -> float:
    """The number with the precision of the array that it is for."""
    return array("f", (seconds,))[0]


def _order(row: Row) -> Order:
    return row.order
