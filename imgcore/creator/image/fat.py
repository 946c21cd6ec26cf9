# SPDX-License-Identifier: GPL-2.0-or-later
"""A FAT file system with a directory's content, the same bytes every time, by dosfstools and mtools.

Files go in by name, sorted, directories first. What FAT cannot hold (links, devices, names that differ only
in case, characters it forbids) is refused, not left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgcore.creator.image import tools
from imgcore.creator.image.content import Amount
from imgcore.errors import BuildError

__all__ = ["LABEL_BYTES", "make", "needed"]

LABEL_BYTES = 11
_MIB = 1 << 20
_FORBIDDEN = frozenset('"*/:<>?\\|') | {chr(code) for code in range(32)}
#: Names a command line, well below what the kernel takes.
_BATCH = 400


def make(
    file: Path, offset: int, size: int, content: Path | None, label: str, serial: str, esp: bool, epoch: int
) -> None:
    """Make it at `offset` of `file`, which is there and zero. An `esp` is FAT32 where it is large enough.

    Raises CommandFailed with the tool's words where the content does not fit.
    """
    # Before the serial number, which it would choose too: the label's entry has a time.
    argv = ["mkfs.vfat", "--invariant", "-i", serial, "-g", "255/63", "-h", str(offset // 512)]
    argv += ["--offset", str(offset // 512)] if offset else []
    argv += ["-n", label] if label else []
    if esp and size >= 34 * _MIB:
        # Firmware wants FAT32; small clusters give it the 65525 that make a FAT a FAT32.
        argv += ["-F", "32", *(["-s", "1"] if size < 260 * _MIB else [])]
    if content is not None:
        argv += ["-r", str(_root_entries(content))]
    tools.use([*argv, str(file), str(size // 1024)], epoch, "makes FAT file systems")
    if content is None:
        return
    image = f"{file}@@{offset}"
    copies = list(_copies(content))
    folders = [f"::{inside}" for inside, _ in copies if inside != "/"]
    for batch in _batches(folders):
        tools.use(["mmd", "-i", image, *batch], epoch, "makes directories in FAT file systems")
    for inside, names in copies:
        for batch in _batches(names):
            argv = ["mcopy", "-Q", "-m", "-i", image, *batch, f"::{inside}"]
            tools.use(argv, epoch, "copies files into FAT file systems")


def needed(amount: Amount) -> int:
    """About how many bytes a file system for `amount` takes, in whole MiB."""
    return -(-(amount.size + amount.size // 50 + 256 * 1024) // _MIB) * _MIB


def _copies(content: Path) -> Iterator[tuple[str, list[str]]]:
    """Every directory by its name inside, parents first, with the files to be copied into it."""
    pending = [""]
    while pending:
        inside = pending.pop(0)
        folder = f"{content}{inside}"
        names = sorted(os.listdir(folder))  # noqa: PTH208 (see below)
        _refuse(inside, names)
        files = []
        for name in names:
            mode = os.lstat(f"{folder}/{name}").st_mode
            if stat.S_ISDIR(mode):
                pending.append(f"{inside}/{name}")
            elif stat.S_ISREG(mode):
                files.append(f"{folder}/{name}")
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
                raise _unfit(f"{inside}/{name}", f"is {kind}")
        yield inside or "/", files


def _root_entries(content: Path) -> int:
    """How many entries the root directory needs, which in FAT12 and FAT16 cannot grow."""
    # One for the label; for each name a short entry, and long ones of 13 UTF-16 units.
    units = [len(path.name.encode("utf-16-le", "surrogatepass")) // 2 for path in content.iterdir()]
    entries = 1 + sum(1 + -(-each // 13) for each in units)
    return max(512, -(-entries // 16) * 16)


def _refuse(inside: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if _FORBIDDEN & set(name) or name.endswith((".", " ")):
            raise _unfit(f"{inside}/{name}", "has a name that FAT forbids")
        if seen.setdefault(name.casefold(), name) != name:
            raise _unfit(f"{inside}/{name}", f"differs from {seen[name.casefold()]} only in case")


def _unfit(path: str, why: str) -> BuildError:
    return BuildError(f"a FAT file system cannot hold {path!r}: it {why}", "use ext4, or leave it out", "unsupported")


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
