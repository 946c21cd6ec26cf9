# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of the site: replaced whole or not at all, one writer at a time, nobody else's touched.

A page tells in its last line what it was made from. What an interrupted writer left is swept away by the next.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from imgcore.errors import InputError, SpoolError

__all__ = ["Files", "fingerprint", "opened", "ours", "stamp"]

_OURS = re.compile(rb"generator.{0,14}Imager", re.DOTALL)
_LAST_LINE = re.compile(rb"<!-- imager page ([0-9a-f]*) -->\s*$")
_LOCK = ".imager-report.lock"
_STRAY = re.compile(r"^\..*\.[0-9a-f]{8}\.new$")
#: What is removed when it is no longer wanted; the style sheet and the script stay.
_REMOVED = {".html", ".json", ".svg"}
_SILENT = {".css", ".js"}


class Files:
    """What is written below `target`, and how many pages were written, kept as they were and removed."""

    def __init__(self, target: Path, *, known: bool = False) -> None:
        self.target = target
        #: There is an index of ours already.
        self.known = known
        self.written = 0
        self.kept = 0
        self.removed = 0

    def keep(self) -> None:
        """A page is as it should be."""
        self.kept += 1

    def put(self, path: Path, content: bytes, *, page: bool = True) -> None:
        """Have `path` hold `content`; it is replaced only where it differs.

        Raises OSError, and InputError where a file is there that is not ours.
        """
        try:
            found = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if found == content:
            self.kept += page
            return
        # The style sheet and the script of the first release do not say whose they are; its first page does.
        if found is not None and not _says_ours(found) and not (self.known and path.suffix in _SILENT):
            raise _not_ours(path)
        _directory(path.parent)
        fresh = path.with_name(f".{secrets.token_hex(4)}.{secrets.token_hex(4)}.new")
        try:
            # Not synced to disk: a page that a power cut takes is made again.
            fresh.write_bytes(content)
            fresh.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        self.written += page

    def remove(self, path: Path) -> None:
        """Remove a file of ours, if it is one."""
        if ours(path):
            path.unlink(missing_ok=True)
            self.removed += path.suffix == ".html"

    def remove_job(self, directory: Path) -> None:
        """Remove what is ours in a job's `directory` (with it where nothing else is there), and its JSON."""
        if not directory.is_symlink():
            self.remove_others(directory, lambda stem: False)
            with contextlib.suppress(OSError):
                directory.rmdir()
        self.remove(directory.with_name(f"{directory.name}.json"))

    def remove_others(self, directory: Path, wanted: Callable[[str], bool], *, deep: bool = False) -> None:
        """Remove what is ours in `directory` under a name that is not `wanted`; with `deep` also below it."""
        self.sweep(directory)
        for entry in _entries(directory):
            path = directory / entry.name
            if entry.is_dir(follow_symlinks=False):
                if deep and wanted(entry.name):
                    self.sweep(path)
                elif deep:
                    self.remove_job(path)
            elif path.suffix in _REMOVED and not wanted(path.stem):
                self.remove(path)

    def sweep(self, directory: Path | None = None) -> None:
        """Remove what an interrupted writer left; the lock says that no other is at work."""
        place = directory or self.target
        for entry in _entries(place):
            if _STRAY.match(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    (place / entry.name).unlink()


@contextlib.contextmanager
def opened(target: Path) -> Iterator[Files]:
    """The files below `target`, for this writer alone.

    Raises InputError where it holds somebody else's files in the way, SpoolError where it cannot be written.
    """
    with _guarded(target):
        target.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            first = target / "index.html"
            known = first.exists()
            if known and not ours(first):
                raise _not_ours(first)
            yield Files(target, known=known)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _guarded(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another directory"
        place = error.filename if isinstance(error.filename, str) else target
        raise SpoolError(f"the report cannot be written: {place}: {error.strerror}", remedy) from error


def fingerprint(path: Path) -> str | None:
    """What the page at `path` says that it was made from; None where it is no page of ours."""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            match = _LAST_LINE.search(os.pread(file.fileno(), 200, max(0, length - 200)))
    except OSError:
        return None
    return match[1].decode() if match else None


def stamp(path: Path | str | None) -> str:
    """Changes with the file at `path`: it is replaced (inode) or grows (size), or is edited by hand (time)."""
    if path is None:
        return ""
    try:
        found = os.stat(path)  # noqa: PTH116 - making a Path takes as long as looking at the file
    except (OSError, ValueError):
        return f"{path}: none\n"
    return f"{path}: {found.st_ino} {found.st_size} {found.st_mtime_ns}\n"


def ours(path: Path) -> bool:
    """Whether the file at `path` is one of ours, whole or cut off by a power cut."""
    try:
        with path.open("rb") as file:
            head = file.read(400)
    except OSError:
        return False
    return _says_ours(head)


def _says_ours(content: bytes) -> bool:
    head = content[:400]
    return _OURS.search(head) is not None or not head.strip(b"\0")


def _not_ours(path: Path) -> InputError:
    return InputError(
        f"{path} is not a page of Imager's", "name a directory that is empty or holds an earlier report"
    )


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    # One by one: there can be very many. What is removed on the way does not come, or comes and is gone.
    try:
        with os.scandir(directory) as found:
            yield from found
    except (FileNotFoundError, NotADirectoryError):
        return


def _directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        # A job whose id is that of another and `.json`: its page goes before the other's JSON.
        if not ours(path):
            raise
        path.unlink()
        path.mkdir()
