# SPDX-License-Identifier: GPL-2.0-or-later
"""A file lock that dies with its holder: `flock` on a file of its own.

The file stays when the lock goes; only the kernel knows who holds it. A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgcore.atomic import failed

__all__ = ["Lock", "is_held"]


class Lock:
    """The lock file `path`, opened (and made, where it is not there) and not locked yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open(path)

    def acquire(self, *, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock; False if somebody else has it and `wait` is not asked for."""
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(self._descriptor, how)
        except BlockingIOError:
            return False
        except OSError as error:
            raise failed(self.path, error) from error
        return True

    def acquire_within(self, seconds: float) -> bool:
        """Take the lock, trying for so long: for locks that others hold for a moment only to look."""
        end = time.monotonic() + seconds
        while not self.acquire(wait=False):
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def release(self) -> None:
        """Let the lock go, keep the file open."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock for the block."""
        self.acquire(shared=shared)
        try:
            yield
        finally:
            self.release()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._descriptor < 0

    def close(self) -> None:
        """Let go of lock and file. Can be repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            # A local file can be locked by whoever may read it; NFS alone wants it open for writing.
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise failed(path, error) from error


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file `path` exclusively. Needs no right to write, makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise failed(path, error, "read") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
