# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of the service as the spool shows it: what waits, what went well and wrong last, how full the disk is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from imgcore.report import text
from imgcore.report.ledger import Ledger
from imgcore.report.row import GOOD, Row

__all__ = ["Disk", "Service", "disks", "service"]

#: The last whole days that tell how fast a disk fills; what is as many days away is not told.
DAYS = 7
FAR = 100
#: So many of the newest jobs say where images are.
LOOKED = 100


@dataclass(frozen=True)
class Disk:
    """A file system: what it is for and how full it is, in rounded figures, so that no page changes for nothing."""

    what: str
    percent: int
    free: str
    total: str
    #: When there will be no room left at the rate of the last days, if nothing is removed; empty where that is far.
    full: str = ""

    @property
    def tight(self) -> bool:
        """Whether somebody should look after it."""
        return self.percent >= 90


@dataclass(frozen=True)
class Service:
    """What the first page says of the whole; empty or None where there is nothing to say."""

    waiting: int
    oldest: text.Stamp | None
    workers: tuple[tuple[str, int], ...]
    good: Row | None
    bad: Row | None
    delivered: str
    disks: tuple[Disk, ...]


def service(ledger: Ledger, running: Sequence[Row], queued: Sequence[Row], found: Sequence[Disk]) -> Service:
    """The state of the service."""
    workers: dict[str, int] = {}
    for each in running:
        workers[each.worker] = workers.get(each.worker, 0) + 1
    return Service(
        waiting=len(queued),
        oldest=min(queued, key=lambda each: each.order).time if queued else None,
        workers=tuple(sorted(workers.items())),
        good=ledger.whole.last(GOOD),
        bad=ledger.whole.last({"failed"}),
        delivered=text.size(ledger.whole.bytes),
        disks=tuple(found),
    )


def disks(spool: Path, ledger: Ledger, now: datetime) -> list[Disk]:
    """The file systems of the spool and of the last images."""
    newest = next((each for each in islice(ledger.whole.newest(), LOOKED) if each.directory.startswith("/")), None)
    found: dict[int, tuple[Path, list[str]]] = {}
    for what, place in (("Spool", spool), ("Images", _existing(newest.directory) if newest else None)):
        if place is not None:
            found.setdefault(place.stat().st_dev, (place, []))[1].append(what)
    rate = _rate(ledger, now)
    return [
        _disk(" and ".join(names).capitalize(), place, rate if "Images" in names else 0.0)
        for place, names in found.values()
    ]


def _existing(directory: str) -> Path | None:
    # The images of another machine may be on a disk that is not here.
    return Path(directory) if os.path.isdir(directory) else None  # noqa: PTH112 - never raises


def _rate(ledger: Ledger, now: datetime) -> float:
    """Bytes that were delivered a day, of late."""
    days = (f"{now - timedelta(days=ago):%Y-%m-%d}" for ago in range(1, DAYS + 1))
    return sum(ledger.days[day].bytes for day in days if day in ledger.days) / DAYS


def _disk(what: str, place: Path, rate: float) -> Disk:
    usage = shutil.disk_usage(place)
    # As df tells it: what is kept for root is neither used nor free.
    percent = round(usage.used * 100 / max(usage.used + usage.free, 1))
    return Disk(what, percent, text.rough_size(usage.free), text.rough_size(usage.total), _full(usage.free, rate))


def _full(free: int, rate: float) -> str:
    days = free / rate if rate else FAR
    if days >= FAR:
        return ""
    left = "within a day" if days < 1 else f"in about {round(days)} day{'' if round(days) == 1 else 's'}"
    return f"full {left}, at {text.rough_size(rate)} a day as in the last {DAYS} days, if nothing is removed"
