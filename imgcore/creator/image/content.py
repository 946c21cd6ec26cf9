# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the root tree goes into which file system, and how much room it takes.

`shared_out` moves every mount point's content out of the tree for the length of a `with` (a rename each, no
copy) and leaves an empty directory of the same owner, mode and attributes in its place, as a file system that
is to be mounted there expects. However the block ends, the tree is whole again afterwards. Time stamps later
than the plan's are set back in the tree itself: a build's result does not tell when it was made.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator import rooted
from imgcore.creator.image import holes
from imgcore.errors import BuildError

__all__ = ["Amount", "measure", "shared_out"]

_BLOCK = 4096
_LARGE = 1 << 20


@dataclass(frozen=True)
class Amount:
    """What a directory tree holds: bytes in whole blocks of 4 KiB, and the number of files of every kind."""

    size: int
    files: int


@contextmanager
def shared_out(tree: Path, mountpoints: Sequence[str], stage: Path) -> Iterator[dict[str, Path]]:
    """The directory with the content of each of `mountpoints`; `/` is the tree itself without the others.

    `stage` is an empty directory on the tree's file system.
    """
    places = {"/": tree}
    with ExitStack() as undo:
        # The longest first, so that /boot/efi has left before /boot goes.
        for number, mountpoint in enumerate(sorted({*mountpoints} - {"/"}, key=lambda path: (-len(path), path))):
            source = _real_directory(tree, mountpoint)
            target = stage / str(number)
            undo.enter_context(_moved(source, target))
            places[mountpoint] = target
        yield places


def measure(folder: Path, epoch: int) -> Amount:
    """How much `folder` holds. Files that are newer than `epoch` are set back to it on the way."""
    size = files = 0
    seen: set[tuple[int, int]] = set()
    pending = [os.fspath(folder)]
    limit = epoch * 10**9
    while pending:
        here = pending.pop()
        with os.scandir(here) as entries:
            found = list(entries)
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                pending.append(entry.path)
            elif status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            files += 1
            size += _room(entry.path, status)
            if status.st_mtime_ns > limit:
                os.utime(entry.path, ns=(limit, limit), follow_symlinks=False)
    if folder.stat().st_mtime_ns > limit:
        os.utime(folder, ns=(limit, limit))
    return Amount(size, files)


def _room(path: str, status: os.stat_result) -> int:
    if stat.S_ISDIR(status.st_mode):
        # What a directory measures says more of the builder's file system than of the image's.
        return _BLOCK
    if stat.S_ISLNK(status.st_mode):
        return 0 if status.st_size < 60 else _BLOCK
    if not stat.S_ISREG(status.st_mode):
        return 0
    if status.st_size >= _LARGE and status.st_blocks * 512 < status.st_size:
        return sum(_whole(end) - start // _BLOCK * _BLOCK for start, end in holes.data(Path(path)))
    return _whole(status.st_size)


def _whole(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _real_directory(tree: Path, mountpoint: str) -> Path:
    path = rooted.resolve(tree, mountpoint)
    if path != tree.joinpath(*mountpoint.strip("/").split("/")):
        raise BuildError(
            f"the mount point {mountpoint} is a symbolic link in the root tree, or lies below one",
            "give the part line the path that the link leads to",
            "unsupported",
        )
    return path


@contextmanager
def _moved(source: Path, target: Path) -> Iterator[None]:
    parent = source.parent.stat()
    source.rename(target)
    try:
        status = target.stat()
        source.mkdir()
        os.chown(source, status.st_uid, status.st_gid)
        shutil.copystat(target, source)
        os.utime(source.parent, ns=(parent.st_atime_ns, parent.st_mtime_ns))
        yield
    finally:
        if source.is_dir():
            source.rmdir()
        target.rename(source)
        os.utime(source.parent, ns=(parent.st_atime_ns, parent.st_mtime_ns))
