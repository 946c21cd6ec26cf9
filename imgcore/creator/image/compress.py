# SPDX-License-Identifier: GPL-2.0-or-later
"""Compressed output whose bytes depend on the input alone, made by all processors at once.

gz and bz2 are made here: the input is cut into pieces of fixed size, the pieces are compressed in threads
and written in order, so that neither the number of threads nor their speed shows. A gz is one member, each piece
primed with the end of the one before it; a bz2 is a stream a piece, which every reader accepts. xz and
zst come from their tools, whose block modes have the same property.
"""

from __future__ import annotations

import bz2
import functools
import os
import struct
import subprocess
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from imgcore.creator.image import tools
from imgcore.errors import BuildError

__all__ = ["METHODS", "Sink", "compressed", "threads"]

#: What can be asked for; "" is none.
METHODS = ("", "gz", "bz2", "xz", "zst")

_GZ_PIECE = 1 << 20
_GZ_WINDOW = 1 << 15
_GZ_ZEROS = bytes(_GZ_PIECE)
_BZ2_PIECE = 900_000
_COMMANDS = {
    # --no-adjust: a machine with little memory fails rather than makes other bytes.
    "xz": ("xz", "-6", "--no-adjust", "--block-size=12MiB", "-c"),
    "zst": ("zstd", "-q", "-10", "-c"),
}


class Sink(Protocol):
    """What content is written to."""

    def write(self, content: bytes, /) -> object:
        """Take some more of it."""


def threads() -> int:
    """How many threads are worth starting."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


@contextmanager
def compressed(target: Path, method: str, epoch: int) -> Iterator[Sink]:
    """A sink whose content is in `target`, compressed, when the block has ended without an error."""
    with target.open("wb") as file:
        if method in _COMMANDS:
            with _by_command(file, method, epoch) as sink:
                yield sink
        elif method:
            pieces = _Gzip(file) if method == "gz" else _Bzip2(file)
            with pieces.pool:
                yield pieces
                pieces.finish()
        else:
            yield file


class _Pieces(ABC):
    """Cuts what is written into pieces, has them compressed in threads and writes the results in order."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.pool = ThreadPoolExecutor(threads())
        self._size = size
        self._waiting = bytearray()
        self._running: deque[Future[bytes]] = deque()

    def write(self, content: bytes, /) -> None:
        self._waiting += content
        while len(self._waiting) >= self._size:
            piece = bytes(self._waiting[: self._size])
            del self._waiting[: self._size]
            self._start(piece)

    def finish(self) -> None:
        if self._waiting:
            self._start(bytes(self._waiting))
        self._write_finished(0)

    @abstractmethod
    def task(self, piece: bytes) -> Callable[[], bytes]: ...

    def _start(self, piece: bytes) -> None:
        self._running.append(self.pool.submit(self.task(piece)))
        # So many at most wait in memory.
        self._write_finished(2 * threads())

    def _write_finished(self, leave: int) -> None:
        while len(self._running) > leave:
            self.file.write(self._running.popleft().result())


class _Gzip(_Pieces):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, _GZ_PIECE)
        self._crc = 0
        self._length = 0
        self._before = b""
        # No name, no time, no operating system (RFC 1952).
        file.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def task(self, piece: bytes) -> Callable[[], bytes]:
        before, self._before = self._before, piece[-_GZ_WINDOW:]
        self._crc = zlib.crc32(piece, self._crc)
        self._length += len(piece)

        def deflate() -> bytes:
            if piece == _GZ_ZEROS and before == _GZ_ZEROS[:_GZ_WINDOW]:
                return _deflated_zeros()  # most of a disk
            return _deflate(piece, before)

        return deflate

    def finish(self) -> None:
        super().finish()
        # An empty last block ends the deflate stream.
        self.file.write(b"\x03\x00" + struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))


def _deflate(piece: bytes, before: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, before)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)


@functools.cache
def _deflated_zeros() -> bytes:
    return _deflate(_GZ_ZEROS, _GZ_ZEROS[:_GZ_WINDOW])


class _Bzip2(_Pieces):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, _BZ2_PIECE)
        self._any = False

    def task(self, piece: bytes) -> Callable[[], bytes]:
        self._any = True
        return lambda: bz2.compress(piece, 9)

    def finish(self) -> None:
        super().finish()
        if not self._any:
            self.file.write(bz2.compress(b""))


@contextmanager
def _by_command(file: BinaryIO, method: str, epoch: int) -> Iterator[Sink]:
    argv = [*_COMMANDS[method], f"-T{max(2, threads())}"]
    if tools.find(argv[0]) is None:
        raise tools.missing(argv[0], f"compresses to .{method}")
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=file, stderr=said, env=tools.environment(epoch)
        )
        try:
            if process.stdin is None:
                raise AssertionError("stdin is a pipe")
            yield process.stdin
            process.stdin.close()
            status = process.wait()
        except BrokenPipeError:
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status:
            said.seek(0)
            words = " ".join(said.read().decode("utf-8", "replace").split())
            raise BuildError(f"{argv[0]} ended with status {status}: {words}", "", "internal")
