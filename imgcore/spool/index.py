# SPDX-License-Identifier: GPL-2.0-or-later
"""Which job is in which state, as empty files `index/STATE/TIME,ID`: derived from the records, never asked for truth.

Always: the state that a job's record names has an entry for it. A crash can leave one too many (an entry is made
before the record changes and removed after), never one too few. The names sort by the time of the request, so
that a listing is in order without reading a record. All of it can be deleted and is made again.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from imgcore import atomic
from imgcore.job import Job, Status
from imgcore.spool.lookup import Lookup

__all__ = ["Index", "entry_name", "id_of"]

#: Behind fourteen digits of time, six of its fraction, and the comma.
_ID_AT = 21
#: As many of the newest jobs as are found without sorting all.
_FIRST = 200
_NOT_DIGITS = re.compile(r"[^0-9]")


def entry_name(job: Job) -> str:
    """The name of the job's entry: the request's time to the microsecond, then the id."""
    whole, _, fraction = job.requested_at.rstrip("Z").partition(".")
    return f"{_NOT_DIGITS.sub('', whole):0>14}{fraction:0<6},{job.image_id}"


def id_of(entry: str) -> str:
    """The id in the name of an entry."""
    return entry[_ID_AT:]


def _falling(entries: list[str]) -> Iterator[str]:
    yield from sorted(entries, reverse=True)


class Index:
    """The index below the directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lookup = Lookup(root / "by")
        self._places = {status: root / status.name for status in Status}

    def prepare(self) -> None:
        """Make the directories that are not there; where one was missing, the index is not whole."""
        for place in (*self._places.values(), self.lookup.root):
            if not place.is_dir():
                with contextlib.suppress(OSError):
                    self._mark().unlink()
                atomic.make_directory(place)

    def is_whole(self) -> bool:
        """Whether no part is missing, and none can be: the machine did not go down since (with the last entries)."""
        return self._mark().exists() and all(place.is_dir() for place in self._places.values())

    def settle(self) -> None:
        """It is whole now. Raises SpoolError."""
        atomic.replace(self._mark(), b"")

    def _mark(self) -> Path:
        """The file that goes where the lookup goes, and is of another name after the machine's next start."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = "unknown"
        # The number counts the indexes that there were: an older one lacks something.
        return self.lookup.root / f".boot-{boot}-3"

    def path(self, job: Job, status: Status) -> Path:
        """Where the entry of `job` is when it is in `status`."""
        return self._places[status] / entry_name(job)

    def add(self, job: Job, status: Status) -> None:
        """Make the entry. Raises SpoolError."""
        path = self.path(job, status)
        if not path.parent.is_dir():
            self.prepare()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise atomic.failed(path, error) from error

    def remove(self, job: Job, status: Status) -> None:
        """Remove the entry; one that stays for now is only one too many."""
        with contextlib.suppress(OSError):
            self.path(job, status).unlink()

    def entries(self, status: Status) -> list[str]:
        """The names of the entries in `status`, in the order of the requests."""
        return sorted(self._names(status))

    def newest(
        self, statuses: Iterable[Status], since: datetime | None = None, names: Collection[str] = ()
    ) -> Iterator[str]:
        """The ids of the jobs in these states, of these image names (all), the newest request first, each once.

        None that was requested before `since`. The first ones come long before all are sorted.
        """
        bound = f"{since.astimezone(UTC):%Y%m%d%H%M%S%f}" if since else ""
        entries = [each for status in statuses for each in self._names(status) if each >= bound]
        if names:
            only = {image_id for name in names for image_id in self.lookup.ids("name", name)}
            entries = [each for each in entries if id_of(each) in only]
        told: set[str] = set()
        for entry in itertools.chain(heapq.nlargest(_FIRST, entries), _falling(entries)):
            if entry not in told:
                told.add(entry)
                yield id_of(entry)

    def _names(self, status: Status) -> list[str]:
        try:
            return os.listdir(self._places[status])  # noqa: PTH208 - no path for each: there are many
        except FileNotFoundError:
            return []
        except OSError as error:
            raise atomic.failed(self._places[status], error, "read") from error

    def has(self, status: Status, entry: str) -> bool:
        """Whether the entry of this name is (still) there."""
        return os.path.lexists(self._places[status] / entry)

    def ids(self, statuses: Iterable[Status]) -> list[str]:
        """The ids of the jobs in these states, in the order of the requests, each once."""
        lists = [self.entries(status) for status in statuses]
        # Sorted already; merging is for more than one state only.
        entries = lists[0] if len(lists) == 1 else sorted(itertools.chain.from_iterable(lists))
        return list(dict.fromkeys(entry[_ID_AT:] for entry in entries))

    def by_job(self) -> dict[str, set[tuple[Status, str]]]:
        """Every entry, as its state and its name, by the id in it."""
        found: dict[str, set[tuple[Status, str]]] = {}
        for status in Status:
            for entry in self.entries(status):
                found.setdefault(entry[_ID_AT:], set()).add((status, entry))
        return found

    def discard(self, status: Status, entry: str) -> None:
        """Remove the entry of this name."""
        path = self._places[status] / entry
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.failed(path, error) from error
