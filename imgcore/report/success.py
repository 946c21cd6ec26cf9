# SPDX-License-Identifier: GPL-2.0-or-later
"""How often builds succeed and how long they take: of some jobs, and of jobs grouped by something."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from imgcore.jobs import outcome
from imgcore.report import text
from imgcore.report.ledger import Group
from imgcore.report.row import ENDED, GOOD

__all__ = ["Success", "grouped", "success"]


@dataclass(frozen=True)
class Success:
    """What became of builds; `rate` in per cent of those that were not cancelled, None where there are none."""

    label: str
    good: int
    failed: int
    cancelled: int
    rate: int | None
    #: In seconds; 0 where nothing is known.
    usual_seconds: float
    longest_seconds: float
    href: str = ""

    @property
    def usual(self) -> str:
        """How long they usually take; empty where nothing is known."""
        return text.duration(self.usual_seconds) if self.usual_seconds else ""

    @property
    def longest(self) -> str:
        """The most that one took; empty where nothing is known."""
        return text.duration(self.longest_seconds) if self.longest_seconds else ""

    @property
    def total(self) -> int:
        """All of them."""
        return self.good + self.failed + self.cancelled


def success(label: str, group: Group, href: str = "") -> Success:
    """What became of the rows of `group`, those that have ended."""
    good, failed = group.count(GOOD), group.count({"failed"})
    return Success(
        label=label,
        good=good,
        failed=failed,
        cancelled=group.count({"cancelled"}),
        rate=outcome.success(good, failed),
        usual_seconds=group.usual(),
        longest_seconds=group.longest(),
        href=href,
    )


def grouped(
    groups: Mapping[str, Group], most: int, href: Callable[[str], str] = lambda label: ""
) -> tuple[Success, ...]:
    """What became of each group, of the `most` largest, the largest first."""
    ended = ((-group.count(ENDED), label) for label, group in groups.items())
    largest = heapq.nsmallest(most, (each for each in ended if each[0]))
    return tuple(success(label, groups[label], href(label)) for _, label in largest)
