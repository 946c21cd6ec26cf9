# SPDX-License-Identifier: GPL-2.0-or-later
"""damaged/: where a job goes whose record nobody can read, with the reason, so that the rest goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imgcore import atomic

__all__ = ["DamagedJob", "listing", "move"]

_REASON = "reason"


@dataclass(frozen=True)
class DamagedJob:
    """A job that was set aside: where its files are now, and why."""

    image_id: str
    reason: str
    path: Path


def move(directory: Path, damaged: Path, reason: str) -> Path:
    """Move a job's directory (or what stands in its place) below `damaged`; where it is now. Raises SpoolError.

    The job's lock is held.
    """
    target, number = damaged / directory.name, 1
    while os.path.lexists(target):
        number += 1
        target = damaged / f"{directory.name}.{number}"
    if directory.is_dir() and not directory.is_symlink():
        atomic.replace(directory / _REASON, f"{' '.join(reason.split())}\n".encode("utf-8", "backslashreplace"))
    atomic.make_directory(damaged)
    try:
        directory.rename(target)
    except OSError as error:
        raise atomic.failed(target, error) from error
    atomic.sync_directory(damaged)
    atomic.sync_directory(directory.parent)
    return target


def listing(damaged: Path) -> list[DamagedJob]:
    """The jobs that were set aside, by name."""
    found = []
    for path in sorted(damaged.iterdir()) if damaged.is_dir() else ():
        try:
            reason = (path / _REASON).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            reason = ""
        found.append(DamagedJob(path.name, reason, path))
    return found
