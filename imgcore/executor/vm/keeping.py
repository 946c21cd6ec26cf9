# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of a machine whose build failed, for somebody to look at: its disk, and the end of its console's text.

    JOB/vm/disk       what the build wrote, sparse: a file system (ext4), with its /run/imager at work/imager
    JOB/vm/console    the last lines

Whole or not there; nobody but the service's user may look. It goes with its job, or by `forget`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from imgcore.executor import KEPT
from imgcore.executor.vm import disk

__all__ = ["disk_of", "forget", "keep"]

_DISK, _CONSOLE = "disk", "console"


def keep(opened: int, console: Sequence[str], place: Path) -> None:
    """Copy the disk that is open, of a machine that is off, into the new directory `place`. Raises OSError."""
    _sweep(place)
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    partial.mkdir(mode=0o700)
    try:
        with (partial / _DISK).open("xb", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            disk.copy_opened(opened, file.fileno())
        (partial / _CONSOLE).write_text("".join(f"{line}\n" for line in console), encoding="utf-8")
        partial.replace(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def disk_of(job: Path) -> Path | None:
    """The disk that is kept of the job with this directory."""
    found = job / KEPT / _DISK
    return found if found.is_file() else None


def forget(job: Path) -> bool:
    """Remove what is kept of the job with this directory; whether there was something. Raises OSError."""
    _sweep(job / KEPT)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(job / KEPT)
        return True
    return False


def _sweep(place: Path) -> None:
    """Remove the halves that launchers have left that were killed while they copied."""
    for partial in place.parent.glob(f".{place.name}.*"):
        number = partial.suffix.removeprefix(".")
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(partial, ignore_errors=True)
