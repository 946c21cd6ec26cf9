# SPDX-License-Identifier: GPL-2.0-or-later
"""Replace a file so that a reader, and whoever comes after a crash, sees the old or the new one.

Always: write to a temporary name in the same directory, flush and fsync it, rename it over the old one, fsync
the directory. Two replacers of one file at a time are the caller's to prevent (imgcore.lock). What a crash
leaves is a temporary name that `is_stray` knows. Every OSError becomes a SpoolError that names the path and
says what to do. A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import secrets
import time
from pathlib import Path
from types import TracebackType

from imgcore.errors import SpoolError

__all__ = ["Slot", "append", "failed", "is_stray", "make_directory", "replace", "sync_directory", "write_new"]

_STRAY = re.compile(r"^\..+\.[0-9a-f]{12}\.tmp$")
#: How long a replacement may wait for the sync of its directory; what ext4 gives itself for all else.
SETTLE_SECONDS = 5.0
_READ_SIZE = 1 << 20


def is_stray(name: str) -> bool:
    """Whether a file of this name is one that a replacement under way (or ended by a crash) makes."""
    return _STRAY.match(name) is not None


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Make `content` the content of the file `path`, durably, or raise SpoolError and leave it as it was."""
    with Slot(path, mode) as slot:
        slot.put(content)


class Slot:
    """One file that is read and replaced again and again, by one writer at a time.

    It keeps the version that it saw last open, so that `unchanged` can tell for sure and without reading
    whether somebody else has replaced the file since: the number of an open inode is not given to another.
    """

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self.path = path
        self._name = path.name
        self._mode = mode
        self._seen = -1
        self._settled = True
        self._settled_at = time.monotonic()
        try:
            self._directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise failed(path.parent, error, "opened") from error

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> bytes:
        """The whole file. Raises FileNotFoundError where there is none, SpoolError where it cannot be read."""
        try:
            descriptor = os.open(self._name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise failed(self.path, error, "read") from error
        self._see(descriptor)
        try:
            pieces = []
            while piece := os.read(descriptor, _READ_SIZE):
                pieces.append(piece)
        except OSError as error:
            raise failed(self.path, error, "read") from error
        return b"".join(pieces)

    def unchanged(self) -> bool:
        """Whether the file is the one that was read or put here last."""
        if self._seen < 0:
            return False
        try:
            there = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return False
        seen = os.fstat(self._seen)
        return there.st_ino == seen.st_ino and there.st_dev == seen.st_dev

    def put(self, content: bytes, *, settle: bool = True) -> None:
        """Replace the file.

        Without `settle` the directory is not synced now, but with a later replacement, SETTLE_SECONDS on at most, or
        at `close`: a power failure until then can bring back an older version, whole. That is for what the next
        moment replaces again, such as progress.
        """
        temporary = f".{self._name}.{secrets.token_hex(6)}.tmp"
        descriptor = -1
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, self._mode, dir_fd=self._directory)
            _write(descriptor, content)
            os.fsync(descriptor)
            os.rename(temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=self._directory)
            raise failed(self.path, error) from error
        self._see(descriptor)
        self._settled = False
        if settle or time.monotonic() - self._settled_at >= SETTLE_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Make the last replacement durable, if it is not yet."""
        if not self._settled:
            try:
                os.fsync(self._directory)
            except OSError as error:
                raise failed(self.path.parent, error) from error
            self._settled = True
            self._settled_at = time.monotonic()

    def close(self) -> None:
        """Settle and let go. Can be repeated."""
        if self._directory < 0:
            return
        try:
            self.settle()
        finally:
            self._see(-1)
            os.close(self._directory)
            self._directory = -1

    def _see(self, descriptor: int) -> None:
        if self._seen >= 0:
            os.close(self._seen)
        self._seen = descriptor


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A new file with `content`, synced; its directory is the caller's to sync. Raises SpoolError if it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failed(path, error) from error


def append(path: Path, content: bytes, *, at: int | None = None) -> None:
    """Put `content` behind what the file holds (behind its first `at` bytes, forgetting the rest), synced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            if at is not None and os.fstat(descriptor).st_size != at:
                os.ftruncate(descriptor, at)
            _write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failed(path, error) from error


def make_directory(path: Path, mode: int = 0o755) -> None:
    """The directory `path` with its parents, if it is not there."""
    try:
        path.mkdir(mode, parents=True, exist_ok=True)
    except OSError as error:
        raise failed(path, error) from error


def sync_directory(path: Path) -> None:
    """Make what was renamed in the directory `path` durable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failed(path, error) from error


def failed(path: Path, error: OSError, doing: str = "written") -> SpoolError:
    """What a person is told when `path` could not be written (read, opened, …)."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free space on that file system, then try again"
    elif error.errno == errno.EROFS:
        remedy = "mount that file system for writing, or choose another place"
    elif error.errno in (errno.EACCES, errno.EPERM):
        reason += _owner(path)
        remedy = "run this as its owner, or choose another place"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        remedy = "check that the path is right"
    else:
        remedy = "check the disk and the path"
    return SpoolError(f"{path} cannot be {doing}: {reason}", remedy)


def _owner(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            owner = place.stat().st_uid
        except OSError:
            continue
        whose = "it belongs" if place == path else f"{place} belongs"
        return f"; {whose} to {_user(owner)}, this runs as {_user(os.geteuid())}"
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
