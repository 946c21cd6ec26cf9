# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives: a root tree, or image files, as a tar of the POSIX format, the same bytes every time.

Entries are sorted by name, owners are numbers, times whole seconds and none later than the plan's. Hard links stay
links; extended attributes (capabilities, ACLs) are PAX records as GNU tar and bsdtar read them; long runs of
zeros are holes (GNU's sparse format 1.0), found by the file's content, so that it does not matter how the
builder's file system had stored them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from imgcore.creator.image import holes
from imgcore.creator.image.compress import Sink, compressed
from imgcore.errors import BuildError

__all__ = ["compress", "files", "method_of", "tree"]

_ENDINGS = {
    "tar": "", "tar.gz": "gz", "tgz": "gz", "tar.bz2": "bz2", "tbz2": "bz2", "tbz": "bz2", "tar.xz": "xz",
    "txz": "xz", "tar.zst": "zst", "tzst": "zst", "tar.zstd": "zst",
}  # fmt: skip

_PIECE = 1 << 20
#: Zeros are looked for in steps of this.
_STEP = 4096
#: So many zeros at a stretch are a hole, and so many in all make a file sparse: not every tar reads such entries.
_HOLE = 1 << 16
_SPARSE_FROM = 1 << 19
_ZERO_STEP = bytes(_STEP)


def method_of(name: str) -> str:
    """How an archive called `name` is compressed. Raises BuildError for an ending that is not known."""
    match = re.search(r"\.(tar(?:\.\w+)?|t\w+)$", name)
    if match is None or match[1] not in _ENDINGS:
        known = ", ".join(f".{ending}" for ending in _ENDINGS)
        raise BuildError(
            f"{name} is no kind of archive that is known here", f"end it with one of {known}", "unsupported"
        )
    return _ENDINGS[match[1]]


def tree(root: Path, target: Path, epoch: int) -> None:
    """Pack the content of the directory `root`, whose own entry is `./`."""
    with compressed(target, method_of(target.name), epoch) as sink:
        _Archive(sink, epoch).add_tree(root)


def files(paths: Iterable[Path], target: Path, epoch: int) -> None:
    """Pack image files under their own names, owned by root."""
    with compressed(target, method_of(target.name), epoch) as sink:
        archive = _Archive(sink, epoch)
        for path in sorted(paths):
            archive.add_file(path, path.name)
        archive.end()


def compress(source: Path, target: Path, method: str, epoch: int) -> None:
    """`source` compressed as `target`."""
    with compressed(target, method, epoch) as sink, source.open("rb", buffering=0) as reader:
        while piece := reader.read(_PIECE):
            sink.write(piece)


class _Archive:
    def __init__(self, sink: Sink, epoch: int) -> None:
        self._sink = sink
        self._epoch = epoch
        self._written = 0
        self._links: dict[tuple[int, int], str] = {}

    def add_tree(self, root: Path) -> None:
        self._add(os.fspath(root), ".")
        self._add_below(os.fspath(root), ".")
        self.end()

    def add_file(self, path: Path, name: str) -> None:
        info = self._info(name, path.stat())
        info.type, info.mode, info.uid, info.gid = tarfile.REGTYPE, 0o644, 0, 0
        info.mtime = self._epoch
        self._add_content(os.fspath(path), info, path.stat().st_size)

    def end(self) -> None:
        self._write(bytes(1024))
        self._write(bytes(-self._written % tarfile.RECORDSIZE))

    def _add_below(self, folder: str, inside: str) -> None:
        for name in sorted(os.listdir(folder), key=os.fsencode):  # noqa: PTH208 (bytes decide)
            path = f"{folder}/{name}"
            if self._add(path, f"{inside}/{name}"):
                self._add_below(path, f"{inside}/{name}")

    def _add(self, path: str, name: str) -> bool:
        """Add one entry; return whether it is a directory."""
        status = os.lstat(path)
        info = self._info(name, status)
        kind = status.st_mode
        if stat.S_ISSOCK(kind):
            return False  # tar has no form for it, and only a running process has use for one
        if not stat.S_ISDIR(kind) and status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                info.type, info.linkname = tarfile.LNKTYPE, first
                self._header(info)
                return False
        info.pax_headers = _attributes(path)
        if stat.S_ISREG(kind):
            self._add_content(path, info, status.st_size)
            return False
        if stat.S_ISDIR(kind):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(kind):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115
        elif stat.S_ISFIFO(kind):
            info.type = tarfile.FIFOTYPE
        else:
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(kind) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        self._header(info)
        return stat.S_ISDIR(kind)

    def _info(self, name: str, status: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        info.mtime = min(int(status.st_mtime), self._epoch)
        return info

    def _add_content(self, path: str, info: tarfile.TarInfo, size: int) -> None:
        info.size = size
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            ranges = _content(file.fileno(), size) if size >= _SPARSE_FROM else [(0, size)]
            head = b""
            if ranges != [(0, size)]:
                head = self._make_sparse(info, ranges, size)
            self._header(info)
            self._write(head)
            for start, end in ranges:
                for at in range(start, end, _PIECE):
                    piece = os.pread(file.fileno(), min(_PIECE, end - at), at)
                    if len(piece) != min(_PIECE, end - at):
                        raise BuildError(f"{info.name} changed while it was packed", "", "internal")
                    self._write(piece)
        self._write(bytes(-self._written % tarfile.BLOCKSIZE))

    def _make_sparse(self, info: tarfile.TarInfo, ranges: list[tuple[int, int]], size: int) -> bytes:
        """Turn `info` into the entry of a sparse file; return the map that stands before its data."""
        if not ranges or ranges[-1][1] != size:
            ranges.append((size, size))  # how GNU tar tells a hole at the end
        numbers = [len(ranges), *(number for start, end in ranges for number in (start, end - start))]
        head = "".join(f"{number}\n" for number in numbers).encode()
        head += bytes(-len(head) % tarfile.BLOCKSIZE)
        info.pax_headers = {
            **info.pax_headers,
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(size),
        }
        folder, _, base = info.name.rpartition("/")
        info.name = f"{folder or '.'}/GNUSparseFile.0/{base}"
        info.size = len(head) + sum(end - start for start, end in ranges)
        return head

    def _header(self, info: tarfile.TarInfo) -> None:
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _write(self, content: bytes) -> None:
        self._written += len(content)
        if content:
            self._sink.write(content)


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {
        f"SCHILY.xattr.{name}": os.getxattr(path, name, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for name in sorted(names)
    }


def _content(descriptor: int, size: int) -> list[tuple[int, int]]:
    """The ranges, in whole steps, between holes; all of the file where holes would not be worth it."""
    found: list[tuple[int, int]] = []
    for start, end in _not_zero(descriptor, size):
        if found and start - found[-1][1] < _HOLE:
            found[-1] = (found[-1][0], end)
        elif not found and start < _HOLE:
            found.append((0, end))
        else:
            found.append((start, end))
    if found and size - found[-1][1] < _HOLE:
        found[-1] = (found[-1][0], size)
    saved = size - sum(end - start for start, end in found)
    return found if saved >= _SPARSE_FROM else [(0, size)]


def _not_zero(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    begun: int | None = None
    for at, piece in _pieces(descriptor, size):
        if begun is not None and piece.count(0) == 0:
            continue
        for inside in range(0, len(piece), _STEP):
            step = piece[inside : inside + _STEP]
            if step == _ZERO_STEP[: len(step)]:
                if begun is not None:
                    yield begun, at + inside
                    begun = None
            elif begun is None:
                begun = at + inside
    if begun is not None:
        yield begun, size


def _pieces(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The file's content, of which a hole may come as a few zeros that stand for all of it."""
    at = 0
    for start, end in holes.ranges(descriptor, 0, size):
        start -= start % _STEP
        if start > at:
            yield at, _ZERO_STEP
        end = min(size, end + -end % _STEP)
        for here in range(max(at, start), end, _PIECE):
            yield here, os.pread(descriptor, min(_PIECE, end - here), here)
        at = max(at, end)
    if at < size:
        yield at, bytes(min(_STEP, size - at))
