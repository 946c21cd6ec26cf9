# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a sparse file has data, and moving that and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CHUNK", "copy", "data", "ranges"]

CHUNK = 1 << 20


def data(file: Path, offset: int = 0, size: int | None = None) -> Iterator[tuple[int, int]]:
    """The ranges [start, end) of `file` that are not holes, within `size` bytes from `offset`."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        stop = os.fstat(descriptor).st_size if size is None else offset + size
        yield from ranges(descriptor, offset, stop)
    finally:
        os.close(descriptor)


def ranges(descriptor: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The same for an open file, between `start` and `stop`."""
    at = start
    while at < stop:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole to the end
                return
            raise
        if begin >= stop:
            return
        at = min(os.lseek(descriptor, begin, os.SEEK_HOLE), stop)
        yield begin, at


def copy(source: Path, target: Path, offset: int) -> None:
    """Copy what is not zero in `source` to `offset` of `target`, which is there and zero."""
    with source.open("rb", buffering=0) as reader, target.open("r+b", buffering=0) as writer:
        for start, end in data(source):
            for at in range(start, end, CHUNK):
                reader.seek(at)
                piece = reader.read(min(CHUNK, end - at))
                if piece.count(0) != len(piece):
                    writer.seek(offset + at)
                    writer.write(piece)
