# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that a record names: whether one is here and alive, its end, and how to end it.

A number alone names another process later: the machine's boot and the time of the start tell them apart.
A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgcore.job import Worker

__all__ = ["end", "is_alive", "is_here", "this", "wait"]

_HOST = socket.gethostname()


def this(name: str = "") -> Worker:
    """This process, as a record has it."""
    worker: Worker = {"host": _HOST, "pid": os.getpid(), "start_ticks": _start_ticks(os.getpid())}
    if boot := _boot_id():
        worker["boot_id"] = boot
    if name:
        worker["name"] = name
    return worker


def is_here(worker: Worker) -> bool:
    """Whether it is a process of this machine (one that names no machine is)."""
    return worker.get("host", _HOST) == _HOST


def is_alive(worker: Worker) -> bool:
    """Whether it is a process of this machine that has not ended."""
    with _opened(worker) as descriptor:
        return descriptor is not None


def wait(worker: Worker, seconds: float) -> bool:
    """Wait for its end for up to `seconds`; whether it has ended (or never was here)."""
    with _opened(worker) as descriptor:
        if descriptor is None:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def end(worker: Worker) -> bool:
    """Send it SIGTERM; False where it is not here or has ended. Raises PermissionError where it is another user's."""
    with _opened(worker) as descriptor:
        if descriptor is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        return True


@contextmanager
def _opened(worker: Worker) -> Iterator[int | None]:
    """A descriptor of the process, which cannot become another's; None where there is no such process."""
    pid = worker.get("pid", 0)
    if not pid or not is_here(worker) or worker.get("boot_id", "") not in ("", _boot_id()):
        yield None
        return
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ESRCH, errno.EINVAL):
            raise
        yield None
        return
    try:
        # Looked at when the number cannot be given to another any more.
        yield descriptor if _start_ticks(pid) == worker.get("start_ticks") else None
    finally:
        os.close(descriptor)


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _start_ticks(pid: int) -> int:
    """When the process began; 0 where it has ended, also where it only waits for its parent to hear of it."""
    try:
        # proc(5): state and field 22, counted behind the name, which may hold spaces and brackets itself.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
