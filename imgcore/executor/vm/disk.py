# SPDX-License-Identifier: GPL-2.0-or-later
"""Files with the disk of a base image: taken in from somewhere, or made of a directory tree.

A disk from elsewhere is copied, and read by a program of QEMU only when its header says that it is all there is: one
that leads to another file would let a machine read that. Formats: docs/interop/qcow2.txt of QEMU for qcow2, ext4's
superblock, and the marks of partition tables for raw disks.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from imgcore import atomic
from imgcore.errors import BuildError, InputError
from imgcore.run import CommandFailed, capture, stream

__all__ = ["ENVIRONMENT", "copy", "copy_opened", "look", "of_tree", "overlay"]

#: For the programs that make and read disks.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
#: More than any system takes; a larger one is a mistake or worse.
_MOST_BYTES = 1 << 40
_PIECE = 1 << 20
#: qcow2: magic, version, where the name of a backing file is and how long, cluster bits, size, encryption; features.
_QCOW2 = struct.Struct(">4sIQIIQI")
_FEATURES_AT, _EXTERNAL_DATA = 72, 4
_SECONDS = "60"
#: Free space in a file system made of a tree, beside a quarter of what is in it.
_FREE_BYTES = 128 << 20


def copy(source: Path, target: Path) -> None:
    """Copy the regular file `source`, which is no link, with its holes. Raises InputError, SpoolError."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise InputError(f"{source} cannot be imported: {reason}", "give the path of a disk image") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{source} cannot be imported: it is not a file", "give the path of a disk image")
        with target.open("xb", buffering=0) as made:
            copy_opened(descriptor, made.fileno())
    except OSError as error:
        raise atomic.failed(target, error) from error
    finally:
        os.close(descriptor)


def look(file: Path) -> tuple[str, int]:
    """The format of a disk, and its size in bytes as a machine sees it. Raises InputError for what is none."""
    with file.open("rb") as opened:
        head = opened.read(_PIECE)
    kind = "qcow2" if head.startswith(b"QFI\xfb") else "raw"
    if kind == "qcow2":
        _refuse_dependent(head)
    elif head[0x438:0x43A] != b"\x53\xef" and head[510:512] != b"\x55\xaa":
        raise InputError(
            "this is no disk image: neither qcow2, nor an ext4 file system, nor a disk with partitions",
            "others become one by `qemu-img convert -O qcow2`",
        )
    try:
        size = int(json.loads(_capture(["qemu-img", "info", "-f", kind, "--output=json", str(file)]))["virtual-size"])
    except CommandFailed as error:
        raise InputError(f"QEMU cannot read this disk image: {error.message[-200:]}", "make it anew") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("QEMU cannot tell the size of this disk image", "make it anew") from error
    if not 0 < size <= _MOST_BYTES:
        raise InputError(f"this disk has {size} bytes", f"it must have some, and at most {_MOST_BYTES >> 30} GiB")
    return kind, size


def of_tree(tree: Path, file: Path, on_line: Callable[[str], None]) -> None:
    """Make the ext4 file system `file` with what is in the directory `tree`, owners and all. Raises BuildError."""
    taken = sum(each.lstat().st_blocks * 512 for each in tree.rglob("*"))
    size = (taken * 5 // 4 + _FREE_BYTES) // _PIECE
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), "-E", "root_owner=0:0", str(file), f"{size}M"]
    stream(command, environment=ENVIRONMENT, on_line=on_line)


def overlay(below: Path, kind: str, file: Path) -> None:
    """Make the empty disk `file` (qcow2) over the one below, which is of the format `kind`. Raises BuildError."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below.absolute()), "-F", kind, str(file)]
    _capture(command)


def _capture(command: list[str]) -> str:
    try:
        return capture(["timeout", "--signal=KILL", _SECONDS, *command], environment=ENVIRONMENT)
    except BuildError as error:
        if shutil.which(command[0], path=ENVIRONMENT["PATH"]) is None:
            raise BuildError(f"{command[0]} is not there", "apt install qemu-utils", "tool-missing") from error
        raise


def _refuse_dependent(head: bytes) -> None:
    remedy = "`qemu-img convert -O qcow2` makes a file that needs no other"
    try:
        _, version, backing, _, _, _, encrypted = _QCOW2.unpack_from(head)
        features = struct.unpack_from(">Q", head, _FEATURES_AT)[0] if version >= 3 else 0
    except struct.error as error:
        raise InputError("this qcow2 image ends within its header", "copy it anew") from error
    if version not in (2, 3):
        raise InputError(f"this qcow2 image is of version {version}, not 2 or 3", remedy)
    if backing:
        raise InputError("this qcow2 image needs another one that it is based on", remedy)
    if features & _EXTERNAL_DATA:
        raise InputError("this qcow2 image has its data in another file", remedy)
    if encrypted:
        raise InputError("this qcow2 image is encrypted", remedy)


def copy_opened(source: int, target: int) -> None:
    """Copy a regular file that is open to another, with its holes. Raises OSError."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    begin = end = 0
    while end < size:
        try:
            begin = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # the rest is a hole
                return
            raise
        end = os.lseek(source, begin, os.SEEK_HOLE)
        while begin < end:
            piece = os.pread(source, min(_PIECE, end - begin), begin)
            if not piece:
                return
            begin += os.pwrite(target, piece, begin)
