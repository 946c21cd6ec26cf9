# SPDX-License-Identifier: GPL-2.0-or-later
"""Loop devices, and what device-mapper stacked on them, that a tool with root's rights left behind.

They belong to the kernel, not to a process, so no namespace ends them. Ours are known by what they are made of:
a file on the job's own scratch file system. Reference: loop(4). A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["loops", "release"]

_LOOP_GET_STATUS64, _LOOP_CLR_FD, _LOOP_CTL_REMOVE = 0x4C05, 0x4C01, 0x4C81
_LOOP_INFO_BYTES = 232
_TRIES, _PAUSE_SECONDS = 40, 0.05
_BLOCK = Path("/sys/block")


def loops(block: Path = _BLOCK) -> frozenset[str]:
    """The names of the loop devices that there are, used or not."""
    return frozenset(each.name for each in block.glob("loop*"))


def release(
    scratch: int,
    before: frozenset[str],
    *,
    block: Path = _BLOCK,
    run: Callable[[Sequence[str]], object] | None = None,
) -> None:
    """Free every loop device whose file lies on the file system with the device number `scratch`.

    Those that were not there `before` (a tool makes its own by opening their nodes) are removed.
    """
    freed = []
    for loop in sorted(block.glob("loop*")):
        if _made_of(loop.name) != scratch:
            continue
        for name in _mapped(loop, block):
            (run or _run)(["dmsetup", "remove", "--force", "--retry", name])
        with contextlib.suppress(OSError):
            device = os.open(f"/dev/{loop.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CLR_FD)
            finally:
                os.close(device)
            freed.append(loop.name)
    for name in sorted(set(freed) - before):
        _remove(int(name.removeprefix("loop")))


def _remove(number: int) -> None:
    """Take a free loop device away; the kernel may still be unmounting what was on it."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            try:
                fcntl.ioctl(control, _LOOP_CTL_REMOVE, number)
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    return
            time.sleep(_PAUSE_SECONDS)
    finally:
        os.close(control)


def _made_of(loop: str) -> int:
    """The device number of the file system that the loop device's file is on; -1: not in use."""
    try:
        device = os.open(f"/dev/{loop}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        info = fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(_LOOP_INFO_BYTES))
    except OSError:
        return -1
    finally:
        os.close(device)
    # The kernel's own encoding of a device number (huge_encode_dev) is what os.stat gives, too.
    return int(struct.unpack_from("=Q", info)[0])


def _mapped(device: Path, block: Path) -> Iterator[str]:
    """Names of the device-mapper devices on this one, those on top first."""
    for holder in sorted((device / "holders").glob("dm-*")) + sorted(device.glob("*p*/holders/dm-*")):
        above = block / holder.name
        yield from _mapped(above, block)
        with contextlib.suppress(OSError):
            yield (above / "dm" / "name").read_text(encoding="utf-8").strip()


def _run(command: Sequence[str]) -> None:
    with contextlib.suppress(OSError):
        subprocess.run(
            command,
            env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
