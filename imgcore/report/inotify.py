# SPDX-License-Identifier: GPL-2.0-or-later
"""Which jobs of a spool change, as the kernel tells it (inotify(7)), or, where it gives no watches, that some have.

Seven directories tell of jobs that come, go or are in another state, in a spool of any size; one more a job, of the
newest, that its record was replaced.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from imgcore.job import Status
from imgcore.report.files import stamp
from imgcore.spool import Spool
from imgcore.spool.index import id_of

__all__ = ["MOST", "Changes"]

#: Of how many jobs, the newest, each change is told at once; the kernel has a limit a user, and 1 KiB for each.
MOST = 20_000
#: How long what happens at the same time is collected, in seconds.
_TOGETHER = 0.2
#: How often the directories are looked at of which the kernel does not tell, in seconds.
_DEAF = 1.0
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _OVERFLOW, _IGNORED = 0x40, 0x80, 0x100, 0x200, 0x4000, 0x8000
_HEAD = struct.Struct("iIII")


class Changes:
    """What changes in the jobs of `spool`; `remark` hears, in a sentence, of what the kernel does not allow, once."""

    def __init__(self, spool: Spool, remark: Callable[[str], None]) -> None:
        self._jobs = spool.root / "jobs"
        self._remark = remark
        self._libc = ctypes.CDLL(None, use_errno=True)
        #: The oldest job first.
        self._ids: dict[int, str] = {}
        self._full = False
        states = [spool.index.root / status.name for status in Status]
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._top = self._add(self._jobs, _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE)
        self._states = {self._add(path, _CREATE | _DELETE) for path in states}
        #: What is looked at instead of listened to.
        self._unheard = [self._jobs, *states] if min(self._top, *self._states) < 0 else []
        self._seen = self._look()
        if self._unheard:
            remark(
                f"inotify cannot be had ({os.strerror(ctypes.get_errno())}): changes are seen later; "
                "raise fs.inotify.max_user_instances and max_user_watches (sysctl), and start again"
            )

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def add(self, image_ids: Iterable[str]) -> None:
        """Hear of these jobs' records too; where there are too many, the first that was given is let go of."""
        for image_id in () if self._unheard else image_ids:
            watch = self._watch(image_id)
            if watch < 0 and ctypes.get_errno() == errno.ENOSPC:
                self._tell_full()
                self._let_go()
                watch = self._watch(image_id)
            if watch >= 0:
                self._ids[watch] = image_id
            if len(self._ids) > MOST:
                self._let_go()

    def _watch(self, image_id: str) -> int:
        # A record is renamed into its place.
        return self._add(self._jobs / image_id, _MOVED_TO)

    def _let_go(self) -> None:
        if oldest := next(iter(self._ids), None):
            self._libc.inotify_rm_watch(self._descriptor, oldest)
            del self._ids[oldest]

    def _tell_full(self) -> None:
        if not self._full:
            self._remark(
                f"the kernel lets {len(self._ids)} jobs be watched, the newest: "
                "a tag or a pin of others is seen later; raise fs.inotify.max_user_watches (sysctl), and start again"
            )
        self._full = True

    def within(self, seconds: float) -> set[str] | None:
        """The jobs that change within `seconds`, as soon as there are some; None where not all are known."""
        if self._unheard:
            return self._looked(seconds)
        if not _readable(self._descriptor, seconds):
            return set()
        time.sleep(_TOGETHER)
        found: set[str] = set()
        while _readable(self._descriptor, 0):
            for watch, mask, name in _events(os.read(self._descriptor, 1 << 16)):
                if mask & _OVERFLOW:
                    return None
                if mask & _IGNORED:
                    self._ids.pop(watch, None)
                elif watch in self._states:
                    found.add(id_of(name))
                elif watch == self._top:
                    found.add(name)
                    if mask & (_MOVED_TO | _CREATE):
                        self.add([name])
                elif name == "job.json" and watch in self._ids:
                    found.add(self._ids[watch])
        return found

    def _looked(self, seconds: float) -> set[str] | None:
        end = time.monotonic() + seconds
        while True:
            seen, self._seen = self._seen, self._look()
            if seen != self._seen:
                return None
            left = end - time.monotonic()
            if left <= 0:
                return set()
            time.sleep(min(left, _DEAF))

    def _look(self) -> str:
        return "".join(map(stamp, self._unheard))

    def _add(self, path: Path, mask: int) -> int:
        if self._descriptor < 0:
            return -1
        return int(self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask))


def _readable(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _events(content: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(content):
        watch, mask, _, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        yield watch, mask, os.fsdecode(content[at : at + length].rstrip(b"\0"))
        at += length
