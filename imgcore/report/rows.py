# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of all jobs, in a file that has no name: what is held in memory of each job is some forty bytes.

A row is found by its job's id, or by the number of its slot, which stays the same as long as the row is there. The
file is gone with the process, however that ends.
"""

from __future__ import annotations

import marshal
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path

from imgcore.report.row import DAMAGED, NEVER, STATES, Row

__all__ = ["Rows", "microseconds"]

_MICROSECOND = timedelta(microseconds=1)
_BY_SLUG = {each.slug: each for each in (*STATES, DAMAGED)}
_NAMES = [each.name for each in fields(Row)]
_values = attrgetter(*_NAMES)
#: Where in a row is what is written as something simpler, which is read in less time.
_STATE, _ORDER, _STARTED = map(_NAMES.index, ("state", "order", "started"))
#: Bytes of what a row was read from.
_READ = 16
#: A slot has this much room, or twice or four times as much: a row that grows seldom needs another place.
_ROOM = 256
_FREE = 2**64 - 1
#: Of the table: nothing was ever there; something was. No slot has these numbers.
_NONE, _GONE = 2**64 - 1, 2**64 - 2
#: The table is made anew when more of it is taken: it stays quick to search, and is not much larger than it need be.
_LOAD = 0.8


def microseconds(when: datetime) -> int:
    """A time as a number that sorts as it does."""
    return (when - NEVER) // _MICROSECOND


class Rows:
    """The rows; their file lies in `place`, without a name. Raises OSError where it cannot be written."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._file = -1
        self._end = 0
        #: Half of the hash of an id, and its slot: where that half says, or next to it.
        self._table = array("Q", [_NONE]) * 64
        #: How many of them are not `_NONE`, and how many are slots.
        self._taken = 0
        self._number = 0
        self._free = array("I")
        # Of each slot: where its row is, in units of `_ROOM`; how often its room is twice that; see `read`.
        self._places = array("I")
        self._doubled = array("B")
        self._read = bytearray()
        #: When what the row tells of happened, in microseconds.
        self.times = array("Q")

    def __len__(self) -> int:
        return self._number

    def slots(self) -> Iterator[int]:
        """Those that are taken; what comes or goes meanwhile is told of or not."""
        return (slot for slot in range(len(self.times)) if self.times[slot] != _FREE)

    def find(self, image_id: str) -> tuple[int, Row] | None:
        """The job's slot and row; None where it has none."""
        found = self._find(image_id)
        return found and found[1:]

    def get(self, image_id: str) -> Row | None:
        """The job's row; None where it has none."""
        found = self._find(image_id)
        return found and found[2]

    def __contains__(self, image_id: str) -> bool:
        return self._find(image_id) is not None

    def row(self, slot: int) -> Row:
        """The row in a slot that is taken."""
        # Our own, of this process: nothing from outside.
        told = marshal.loads(os.pread(self._file, _ROOM << self._doubled[slot], self._places[slot] * _ROOM))  # noqa: S302
        told[_STATE] = _BY_SLUG[told[_STATE]]
        told[_ORDER] = NEVER + told[_ORDER] * _MICROSECOND, told[0]
        if told[_STARTED] is not None:
            told[_STARTED] = NEVER + told[_STARTED] * _MICROSECOND
        return Row(*told)

    def read(self, slot: int) -> bytes:
        """What the row in `slot` was read from."""
        return bytes(self._read[slot * _READ : (slot + 1) * _READ])

    def put(self, row: Row, read: bytes) -> int:
        """Take in the row of a job that has none, and what it was read from, 16 bytes; its slot."""
        told, when = list(_values(row)), microseconds(row.order[0])
        told[_STATE], told[_ORDER] = row.state.slug, when
        told[_STARTED] = None if row.started is None else microseconds(row.started)
        content = marshal.dumps(told)
        slot = self._free[-1] if self._free else len(self.times)
        fits = bool(self._free) and len(content) <= _ROOM << self._doubled[slot]
        doubled = self._doubled[slot] if fits else _doubled(len(content))
        place = self._places[slot] if fits else self._end
        # Before anything is remembered: a full disk leaves all as it was.
        self._write(content, place * _ROOM)
        if not fits:
            self._end += 1 << doubled
        if self._free:
            self._free.pop()
        else:
            for column in (self.times, self._places, self._doubled):
                column.append(0)
            self._read += bytes(_READ)
        self.times[slot], self._places[slot], self._doubled[slot] = when, place, doubled
        self._read[slot * _READ : (slot + 1) * _READ] = read
        self._enter(_hash(row.image_id) << 32 | slot)
        self._number += 1
        return slot

    def drop(self, image_id: str) -> None:
        """Let go of the row of a job, if it has one."""
        found = self._find(image_id)
        if found is not None:
            at, slot, _ = found
            self.times[slot] = _FREE
            self._free.append(slot)
            self._table[at] = _GONE
            self._number -= 1

    def _find(self, image_id: str) -> tuple[int, int, Row] | None:
        """Where in the table the job is, its slot and row."""
        hashed = _hash(image_id)
        at = hashed % len(self._table)
        while (entry := self._table[at]) != _NONE:
            if entry >> 32 == hashed and entry != _GONE:
                slot = entry & 0xFFFFFFFF
                row = self.row(slot)
                if row.image_id == image_id:
                    return at, slot, row
            at = (at + 1) % len(self._table)
        return None

    def _enter(self, entry: int) -> None:
        if self._taken >= _LOAD * len(self._table):
            before, self._taken = self._table, 0
            # As large as before where much of it is `_GONE`.
            more = 2 if self._number > _LOAD / 2 * len(before) else 1
            self._table = array("Q", [_NONE]) * (more * len(before))
            for each in before:
                if each not in (_NONE, _GONE):
                    self._set(each)
        self._set(entry)

    def _set(self, entry: int) -> None:
        at = (entry >> 32) % len(self._table)
        while self._table[at] != _NONE:
            at = (at + 1) % len(self._table)
        self._table[at] = entry
        self._taken += 1

    def _write(self, content: bytes, offset: int) -> None:
        if self._file < 0:
            file = tempfile.TemporaryFile(dir=self._place, buffering=0)  # noqa: SIM115 - is closed with these rows
            self._file = file.fileno()
            weakref.finalize(self, file.close)
        written = 0
        while written < len(content):
            written += os.pwrite(self._file, content[written:], offset + written)


def _hash(image_id: str) -> int:
    """32 bits."""
    return int.from_bytes(blake2b(image_id.encode("utf-8", "surrogatepass"), digest_size=4).digest())


def _doubled(length: int) -> int:
    return max(0, (length - 1) // _ROOM).bit_length()
