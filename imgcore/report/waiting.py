# SPDX-License-Identifier: GPL-2.0-or-later
"""When a waiting job will start and how long a running one will still take, by what such jobs took before.

How many build at a time is taken from how many do: the spool does not know the workers. Nothing is expected of
a queue that nobody works at.
"""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from imgcore.report.ledger import Group
from imgcore.report.row import GOOD, Row

__all__ = ["Expected", "expect"]

#: So many of the last builds say how long the next one takes.
LAST = 5


@dataclass(frozen=True)
class Expected:
    """Seconds from now, by job: until a waiting one starts, and until a running one ends; where it can be told."""

    start: Mapping[str, float]
    left: Mapping[str, float]


def expect(running: Sequence[Row], queued: Sequence[Row], names: Mapping[str, Group]) -> Expected:
    """What is to be expected; `queued` is in the order of the queue, `names` has the jobs of each name."""
    usual = _usual({each.name: names[each.name] for each in (*running, *queued) if each.name in names})
    left = {
        each.image_id: max(usual[each.name] - each.seconds, 0.0)
        for each in running
        if each.name in usual and not each.orphaned
    }
    # One of which nothing is known may end before: then the next starts earlier than expected.
    free = sorted(left.values())
    start: dict[str, float] = {}
    for each in queued:
        if not free:
            break
        start[each.image_id] = at = heapq.heappop(free)
        if each.name not in usual:
            continue
        heapq.heappush(free, at + usual[each.name])
    return Expected(start, left)


def _usual(names: Mapping[str, Group]) -> dict[str, float]:
    found = {}
    for name, group in names.items():
        took = list(islice((each.seconds for each in group.newest(GOOD) if each.seconds), LAST))
        if took:
            found[name] = statistics.median(took)
    return found
