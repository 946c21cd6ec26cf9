# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the site fresh: look at what the kernel tells of, at what runs, and now and then at everything.

What the kernel does not tell (an older job's tag, a queue that ran over, a file system of another machine) the look
at everything finds, some jobs at a time, so that what changes meanwhile does not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

from imgcore.errors import SpoolError
from imgcore.report.inotify import MOST, Changes
from imgcore.report.site import Report, Site, listed
from imgcore.spool import Spool

__all__ = ["follow"]

#: Seconds between two looks at what runs, between two at everything, and after something went wrong.
RUNNING = 2.0
EVERYTHING = 60.0
AGAIN = 5.0
#: Between two looks at everything is at least so many times as long as one takes, so that it costs no more than that.
_REST = 100
#: So many jobs are looked at in one go.
_SOME = 2000


def follow(spool: Spool, target: Path, told: Callable[[Site | SpoolError | str], None]) -> None:
    """Bring the pages up to the spool whenever it changes; `told` hears of each time. Ends by an exception only.

    Raises InputError where `target` holds somebody else's index. Errors of the disk are told, and it tries again;
    what the kernel does not allow is told as a sentence, once.
    """
    report = Report(spool, target)
    changed: set[str] | None = None
    everything = _Everything(report, spool)
    with Changes(spool, told) as changes:
        while True:
            try:
                told(report.update(changed))
                if changed is None:
                    changes.add(reversed(report.newest(MOST)))
                longest = RUNNING if report.building else EVERYTHING
                heard = changes.within(min(longest, everything.due()))
                if heard is None:
                    everything.soon()
                changed = {*(heard or ()), *everything.some()}
            except SpoolError as error:
                told(error)
                time.sleep(AGAIN)
                changed = None


class _Everything:
    """All jobs, those that have pages and those that are in the spool, some at a time and again after a while."""

    def __init__(self, report: Report, spool: Spool) -> None:
        self._report = report
        self._spool = spool
        self._left: Iterator[str] | None = None
        self._began = 0.0
        self._next = 0.0

    def due(self) -> float:
        """In how many seconds some are to be looked at."""
        return 0.0 if self._left is not None else max(self._next - time.monotonic(), 0.0)

    def soon(self) -> None:
        """Have all looked at now; where that has begun, once more after it."""
        self._next = 0.0

    def some(self) -> list[str]:
        """The next to be looked at; none where it is too early."""
        if self.due():
            return []
        if self._left is None:
            self._left = chain(self._report.known(), listed(self._spool))
            self._began, self._next = time.monotonic(), float("inf")
        found = list(islice(self._left, _SOME))
        if len(found) < _SOME:
            self._left, now = None, time.monotonic()
            self._next = min(self._next, now + max(EVERYTHING, _REST * (now - self._began)))
        return found
