# SPDX-License-Identifier: GPL-2.0-or-later
"""The jobs that wait, and taking the oldest: every job is taken by one process only, however many ask at once.

The index says where to look, the record under its lock says what is true. A job whose record cannot be read is
set aside on the way, and the next one is taken; one that cannot be opened is passed over.
"""

from __future__ import annotations

import time
from pathlib import Path

from imgcore import names
from imgcore.errors import InputError, SpoolError
from imgcore.job import Status
from imgcore.spool import aside
from imgcore.spool.claim import Claim
from imgcore.spool.index import Index, id_of
from imgcore.spool.record import DamagedRecord, Record

__all__ = ["Queue"]

#: How long a listing of the queue is good enough to look for the next job in.
_LISTING_SECONDS = 1.0
#: After so many jobs that cannot be read or written it is not the job but the spool.
_PATIENCE = 3


class Queue:
    """The waiting jobs of the spool whose places these are."""

    def __init__(self, jobs: Path, index: Index, damaged: Path) -> None:
        self._jobs = jobs
        self._index = index
        self._damaged = damaged
        self._listing: list[str] = []
        self._listed_at = -_LISTING_SECONDS

    def claim(self, worker: str) -> Claim | None:
        """Take the oldest job, or None."""
        if not self._listing or time.monotonic() - self._listed_at > _LISTING_SECONDS:
            self._listing = self._index.entries(Status.IN_QUEUE)[::-1]
            self._listed_at = time.monotonic()
        busy: list[str] = []
        faults: list[SpoolError] = []
        while self._listing:
            if found := self._try(self._listing.pop(), worker, faults, busy):
                return found
        for entry in busy:
            if found := self._try(entry, worker, faults, None):
                return found
        if faults:
            raise faults[0]
        return None

    def _try(self, entry: str, worker: str, faults: list[SpoolError], busy: list[str] | None) -> Claim | None:
        # Most of what others have taken since is passed here, at the price of one lstat.
        if not self._index.has(Status.IN_QUEUE, entry):
            return None
        try:
            return self._take(entry, worker, busy)
        except SpoolError as error:
            faults.append(error)
            if len(faults) >= _PATIENCE:
                raise
            return None

    def _take(self, entry: str, worker: str, busy: list[str] | None) -> Claim | None:
        """The job behind an entry; where somebody has it locked and `busy` is given, it goes there instead."""
        try:
            record = Record(self._jobs / names.image_id(id_of(entry)), self._index)
        except (FileNotFoundError, InputError):
            return None  # about to be put in place, or nothing: that is fsck's to say
        taken: Claim | None = None
        try:
            if record.lock.acquire(wait=busy is None):
                taken = self._take_locked(record, entry, worker)
            elif busy is not None:
                busy.append(entry)
        finally:
            if taken is None:
                record.close()
            else:
                record.lock.release()
        return taken

    def _take_locked(self, record: Record, entry: str, worker: str) -> Claim | None:
        try:
            if record.current().status is Status.IN_QUEUE:
                return Claim(record, worker)
        except DamagedRecord as damage:
            aside.move(record.directory, self._damaged, damage.reason)
        except (FileNotFoundError, InputError):
            return None  # gone, or still in the hands of a worker that is about to let go
        self._index.discard(Status.IN_QUEUE, entry)
        return None
