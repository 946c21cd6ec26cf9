"""The rows of all jobs, in a file that has no name: what is held in memory of each job is some forty bytes.

A row is found by its job's id, or by the number of its slot, which stays the same as long as the row is there. The
file is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path

from imgcore.report.row import NEVER, Row

__all__ = ["Rows", "microseconds"]

_FIELDS = attrgetter(*(each.name for each in fields(Row)))
#: Bytes of what a row was read from.
_READ = 16
#: A slot has this much room, or twice or four times as much: a row that grows seldom needs another place.
_ROOM = 256
_FREE = 2**64 - 1


def microseconds(when: datetime) -> int:
    """A time as a number that sorts as it does."""
    return (when - NEVER) // timedelta(microseconds=1)


class Rows:
    """The rows; their file lies in `place`, without a name. Raises OSError where it cannot be written."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._file = -1
        self._end = 0
        #: The slots that are taken, in the order of their ids' hashes, and these.
        self._hashes = array("Q")
        self._slots = array("I")
        self._free = array("I")
        # Of each slot:
        self._offsets = array("Q")
        self._rooms = array("I")
        self._read = bytearray()
        #: When what the row tells of happened, in microseconds.
        self.times = array("Q")

    def __len__(self) -> int:
        return len(self._slots)

    def slots(self) -> Iterator[int]:
        """Those that are taken; what comes or goes meanwhile is told of or not."""
        return (slot for slot in range(len(self.times)) if self.times[slot] != _FREE)

    def find(self, image_id: str) -> tuple[int, Row] | None:
        """The job's slot and row; None where it has none."""
        at = self._at(image_id)
        return None if at is None else (self._slots[at], self.row(self._slots[at]))

    def get(self, image_id: str) -> Row | None:
        """The job's row; None where it has none."""
        found = self.find(image_id)
        return found and found[1]

    def __contains__(self, image_id: str) -> bool:
        return self._at(image_id) is not None

    def row(self, slot: int) -> Row:
        """The row in a slot that is taken."""
        return Row(*pickle.loads(os.pread(self._file, self._rooms[slot], self._offsets[slot])))  # noqa: S301 - our own

    def read(self, slot: int) -> bytes:
        """What the row in `slot` was read from."""
        return bytes(self._read[slot * _READ : (slot + 1) * _READ])

    def put(self, row: Row, read: bytes) -> int:
        """Take in the row of a job that has none, and what it was read from, 16 bytes; its slot."""
        content = pickle.dumps(_FIELDS(row), pickle.HIGHEST_PROTOCOL)
        slot = self._free[-1] if self._free else len(self.times)
        fits = bool(self._free) and len(content) <= self._rooms[slot]
        room = self._rooms[slot] if fits else _room(len(content))
        offset = self._offsets[slot] if fits else self._end
        # Before anything is remembered: a full disk leaves all as it was.
        self._write(content, offset)
        if not fits:
            self._end += room
        if self._free:
            self._free.pop()
        else:
            for column in (self.times, self._offsets, self._rooms):
                column.append(0)
            self._read += bytes(_READ)
        self.times[slot], self._offsets[slot], self._rooms[slot] = microseconds(row.order[0]), offset, room
        self._read[slot * _READ : (slot + 1) * _READ] = read
        hashed = _hash(row.image_id)
        at = bisect_left(self._hashes, hashed)
        self._hashes.insert(at, hashed)
        self._slots.insert(at, slot)
        return slot

    def drop(self, image_id: str) -> None:
        """Let go of the row of a job, if it has one."""
        at = self._at(image_id)
        if at is not None:
            self.times[self._slots[at]] = _FREE
            self._free.append(self._slots[at])
            del self._hashes[at], self._slots[at]

    def _at(self, image_id: str) -> int | None:
        hashed = _hash(image_id)
        at = bisect_left(self._hashes, hashed)
        while at < len(self._hashes) and self._hashes[at] == hashed:
            if self.row(self._slots[at]).image_id == image_id:
                return at
            at += 1
        return None

    def _write(self, content: bytes, offset: int) -> None:
        if self._file < 0:
            file = tempfile.TemporaryFile(dir=self._place, buffering=0)  # noqa: SIM115 - is closed with these rows
            self._file = file.fileno()
            weakref.finalize(self, file.close)
        written = 0
        while written < len(content):
            written += os.pwrite(self._file, content[written:], offset + written)


def _hash(image_id: str) -> int:
    return int.from_bytes(blake2b(image_id.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _room(length: int) -> int:
    room = _ROOM
    while room < length:
        room *= 2
    return room
