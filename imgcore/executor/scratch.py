# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job's scratch is made of: memory, or a file without a name on a loop device that clears itself.

Either is a file system of limited size that has no name outside of the job's mount namespace; the kernel
unmounts it, detaches the loop device and frees the space with the last process, however that ends. In a virtual
machine it is a directory of the machine's disk, which goes with the machine.
References: tmpfs(5), loop(4) (LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR), open(2) (O_TMPFILE). Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Protocol

from imgcore.executor import kernel

__all__ = ["MAKE", "Backing", "LoopFile", "Shown", "in_memory"]

_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
#: struct loop_config: fd, block size, loop_info64 (with its flags behind 52 bytes), reserved.
_LOOP_CONFIG = struct.Struct("=II52xI176x64x")
#: Of the memory that is available, the part that all of one job's files may take.
_SHARE_OF_MEMORY = 0.75
_TRIES = 20
#: Its life is shorter than a journal's use, and half a checksum: it goes with the job.
MAKE = (
    "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^metadata_csum,^resize_inode",
    "-E", "lazy_itable_init=1,nodiscard",
)  # fmt: skip


def in_memory(target: str, limit: int) -> None:
    """Mount a tmpfs of at most `limit` bytes (0: no limit of its own) and never more than the memory can bear."""
    most = int(_available_memory() * _SHARE_OF_MEMORY)
    size = min(limit, most) if limit else most
    kernel.mount("tmpfs", target, f"size={size},mode=755")


class Backing(Protocol):
    """What scratch is on, instead of in memory."""

    def mount(self, target: str) -> None:
        """Show it, fresh and writable, at `target`. Raises OSError."""


class LoopFile:
    """A file without a name, of `limit` bytes, on the disk that the directory descriptor `place` is on."""

    def __init__(self, place: int, limit: int) -> None:
        self._descriptor = os.open(f"/proc/self/fd/{place}", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.close(place)
        os.ftruncate(self._descriptor, limit)

    def mount(self, target: str) -> None:
        """Make a file system on it. Needs real root. Raises OSError."""
        number, device = _attach(self._descriptor)
        try:
            path = f"/dev/loop{number}"
            made = subprocess.run(
                [*MAKE, path],
                env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if made.returncode:
                raise OSError(errno.EIO, made.stderr.decode("utf-8", "replace").strip() or "mke2fs failed", path)
            kernel.mount("ext4", target, source=path)
            # lost+found is for what survives a crash; nothing here does.
            with contextlib.suppress(OSError):
                Path(target, "lost+found").rmdir()
        finally:
            # From here on only the mount holds the device, which clears itself when that goes.
            os.close(device)
            os.close(self._descriptor)


class Shown:
    """A directory that is fresh, of limited size and goes with the job: that of a virtual machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def mount(self, target: str) -> None:
        """Bind it. Raises OSError."""
        kernel.bind(self._path, target, read_only=False)


def _attach(backing: int) -> tuple[int, int]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            device = os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(backing, 4096, _LO_FLAGS_AUTOCLEAR))
                return number, device
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
        raise OSError(errno.EBUSY, "no loop device could be had", "/dev/loop-control")
    finally:
        os.close(control)


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
