# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk is promised: records writes, syncs and renames, and tells where something could be lost.

`watch` patches the calls of `os` for a block; `Watch.faults` names each file that got its place before its
content was synced, `Watch.unsafe` what is written or renamed and not synced yet.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Watch", "watch"]


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class Watch:
    """The calls so far, and what is not safe yet."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: list[str] = []
        self._unsynced: dict[tuple[int, int], str] = {}
        self._renamed: dict[tuple[int, int], str] = {}

    def write(self, real: Any, descriptor: int, content: Any) -> int:
        self.calls.append("write")
        self._unsynced[_key(os.fstat(descriptor))] = f"file {descriptor}"
        return int(real(descriptor, content))

    def fsync(self, real: Any, descriptor: int) -> None:
        real(descriptor)
        key = _key(os.fstat(descriptor))
        self.calls.append("fsync of a directory" if key in self._renamed or _is_dir(descriptor) else "fsync")
        self._unsynced.pop(key, None)
        self._renamed.pop(key, None)

    def rename(self, real: Any, source: Any, target: Any, **where: Any) -> None:
        self.calls.append("rename")
        if _key(os.stat(source, dir_fd=where.get("src_dir_fd"))) in self._unsynced:
            self.faults.append(f"{source} became {target} unsynced")
        parent = where.get("dst_dir_fd")
        if parent is None:
            key = _key(Path(target).parent.stat())
            inside = list(Path(source).iterdir()) if Path(source).is_dir() else []
            self.faults += [
                f"{path} got its place unsynced" for path in inside if _key(path.stat()) in self._unsynced
            ]
        else:
            key = _key(os.fstat(parent))
        real(source, target, **where)
        self._renamed[key] = str(target)

    @property
    def unsafe(self) -> list[str]:
        """What a power failure now could undo or lose."""
        return [*self._renamed.values(), *self._unsynced.values()]


def _is_dir(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@contextmanager
def watch() -> Iterator[Watch]:
    seen = Watch()
    real_write, real_fsync, real_rename = os.write, os.fsync, os.rename
    with (
        mock.patch.object(os, "write", lambda fd, content: seen.write(real_write, fd, content)),
        mock.patch.object(os, "fsync", lambda fd: seen.fsync(real_fsync, fd)),
        mock.patch.object(os, "rename", lambda a, b, **where: seen.rename(real_rename, a, b, **where)),
    ):
        yield seen
