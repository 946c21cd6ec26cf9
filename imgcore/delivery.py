# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job delivers: files that are nameless until all of them are there, then put in place at once.

    base_dir/PREFIX/IMAGE_ID/NAME        appears by one rename, complete
    base_dir/PREFIX/latest/IMAGE_NAME    a link to the last good image of that name

A delivered file has no name while it is written (O_TMPFILE), so that the kernel removes it with the process,
however that ends. File systems without O_TMPFILE get a hidden directory, which `discard` removes; so do files of a
delivery of more than a process may have open.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from imgcore.errors import ImagerError, SpoolError

__all__ = ["Delivery", "discard", "place"]

_ZEROS = bytes(1 << 20)
_DIRECTORY_MODE = 0o755
_EARLY_BYTES = 8 << 20
#: Files that are open at once: a process may have 1024 where nobody has changed that.
_MOST_OPEN = 256
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


def place(base_dir: Path, prefix: str, image_id: str) -> Path:
    """Where the job's files are published."""
    return base_dir / prefix / image_id


def _partial(base_dir: Path, prefix: str, image_id: str) -> Path:
    return base_dir / prefix / f".{image_id}.partial"


def discard(base_dir: Path, prefix: str, image_id: str) -> None:
    """Remove what a worker that died may have left of a delivery."""
    shutil.rmtree(_partial(base_dir, prefix, image_id), ignore_errors=True)


class _File:
    """One file under way: its content, and the digest of it as it comes."""

    def __init__(self, descriptor: int, named: Path | None, size: int, mode: int) -> None:
        self.descriptor = descriptor
        self.named = named
        self.size = size
        self._digest = hashlib.sha256()
        self._at = 0
        self._asked = 0
        os.fchmod(descriptor, 0o755 if mode & 0o100 else 0o644)
        os.ftruncate(descriptor, size)

    def write(self, offset: int, content: bytes) -> None:
        if offset < self._at or offset + len(content) > self.size:
            raise ImagerError("the sandbox delivered a file out of order", "this is a fault of Imager; report it")
        self._skip_to(offset)
        self._digest.update(content)
        view = memoryview(content)
        while view:
            written = os.pwrite(self.descriptor, view, self._at)
            self._at += written
            view = view[written:]
        if self._at - self._asked >= _EARLY_BYTES:
            # This has the kernel begin to write what came, while more comes: `publish` waits for the rest only.
            os.posix_fadvise(self.descriptor, self._asked, self._at - self._asked, os.POSIX_FADV_DONTNEED)
            self._asked = self._at

    def _skip_to(self, offset: int) -> None:
        while self._at < offset:
            step = min(len(_ZEROS), offset - self._at)
            self._digest.update(_ZEROS[:step])
            self._at += step

    def sha256(self) -> str:
        self._skip_to(self.size)
        return self._digest.hexdigest()

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor, for reading."""
        if self.descriptor >= 0 or self.named is None:
            yield self.descriptor
            return
        descriptor = os.open(self.named, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of it; if it has a name it stays. Can be repeated."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Delivery:
    """The files of one job on their way to `place(base_dir, prefix, image_id)`; a `with` that forgets them.

    Raises SpoolError, naming the path, where they cannot be written.
    """

    def __init__(self, base_dir: Path, prefix: str, image_id: str) -> None:
        self.directory = place(base_dir, prefix, image_id)
        self._partial = _partial(base_dir, prefix, image_id)
        self._files: dict[str, _File] = {}
        self._current: _File | None = None

    def __enter__(self) -> Delivery:
        try:
            self.directory.parent.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise _failed(self.directory.parent, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._files.values():
            each.close()
        self._files.clear()
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The files so far, with their sizes in bytes."""
        return {name: each.size for name, each in self._files.items()}

    def begin(self, name: str, size: int, mode: int = 0o644) -> None:
        """Begin the file `name` (relative, slashes allowed), `size` bytes long."""
        parts = name.split("/")
        if not name or any(part in ("", ".", "..") or "\0" in part for part in parts) or name in self._files:
            raise ImagerError(f"the sandbox delivered a file with the name {name!r}", "this is a fault; report it")
        self._close_last()
        descriptor, named = self._open(name)
        try:
            self._current = _File(descriptor, named, size, mode)
        except OSError as error:
            os.close(descriptor)
            raise _failed(self.directory / name, error) from error
        self._files[name] = self._current

    def write(self, offset: int, content: bytes) -> None:
        """A piece of the file begun last. What is skipped is a hole."""
        if self._current is None:
            raise ImagerError("the sandbox delivered data without a file", "this is a fault of Imager; report it")
        try:
            self._current.write(offset, content)
        except OSError as error:
            raise _failed(self.directory, error) from error

    def add(self, name: str, content: bytes) -> None:
        """A whole file."""
        self.begin(name, len(content))
        self.write(0, content)

    def add_file(self, name: str, source: Path) -> None:
        """A whole file, copied from `source` as long as it is now."""
        try:
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.begin(name, size)
                at = 0
                while at < size and (piece := file.read(min(len(_ZEROS), size - at))):
                    self.write(at, piece)
                    at += len(piece)
        except OSError as error:
            raise SpoolError(f"{source} cannot be read: {error.strerror}", "check the spool") from error

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file; KeyError where there is none of that name."""
        with self._files[name].opened() as descriptor:
            return os.pread(descriptor, limit, 0)

    def sha256(self, name: str) -> str:
        """The file's SHA-256 in hexadecimal."""
        return self._files[name].sha256()

    def drop(self, name: str) -> None:
        """Do not deliver this file after all."""
        dropped = self._files.pop(name)
        dropped.close()
        if dropped.named is not None:
            dropped.named.unlink(missing_ok=True)
        if self._current is dropped:
            self._current = None

    def partial(self) -> Path:
        """The hidden directory that becomes the published one, with every file so far in it."""
        try:
            self._partial.mkdir(_DIRECTORY_MODE, exist_ok=True)
            for name, each in self._files.items():
                if each.named is None and not (self._partial / name).exists():
                    self._name(name, each)
        except OSError as error:
            raise _failed(self._partial, error) from error
        return self._partial

    def publish(self, latest: str = "") -> None:
        """Put all files in place; `latest` names the link to point here too. Replaces an earlier delivery."""
        partial = self.partial()
        try:
            for each in self._files.values():
                with each.opened() as descriptor:
                    os.fsync(descriptor)
            _sync(partial)
            if self.directory.exists():
                shutil.rmtree(self.directory)
            partial.rename(self.directory)
            _sync(self.directory.parent)
            if latest:
                _point(self.directory.parent / "latest" / latest, Path("..") / self.directory.name)
        except OSError as error:
            raise _failed(self.directory, error) from error

    def _close_last(self) -> None:
        """Close the file begun last, which is complete, where many are open; it has a name then."""
        if len(self._files) < _MOST_OPEN or self._current is None:
            return
        name, last = next(reversed(self._files.items()))
        if last.named is None:
            try:
                last.named = self._name(name, last)
            except OSError as error:
                raise _failed(self._partial / name, error) from error
        last.close()
        self._current = None

    def _name(self, name: str, file: _File) -> Path:
        target = self._partial / name
        target.parent.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        _link(file.descriptor, target)
        return target

    def _open(self, name: str) -> tuple[int, Path | None]:
        try:
            return os.open(self.directory.parent, os.O_TMPFILE | os.O_RDWR, 0o644), None
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise _failed(self.directory.parent, error) from error
        target = self._partial / name
        try:
            target.parent.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
            return os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644), target
        except OSError as error:
            raise _failed(target, error) from error


def _link(descriptor: int, target: Path) -> None:
    directory = os.open(target.parent, os.O_DIRECTORY)
    try:
        # With a directory descriptor Python calls linkat(AT_SYMLINK_FOLLOW), which names an O_TMPFILE file.
        os.link(f"/proc/self/fd/{descriptor}", target.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def _point(link: Path, target: Path) -> None:
    link.parent.mkdir(_DIRECTORY_MODE, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    _sync(link.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> SpoolError:
    remedy = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check [imager] base_dir"
    return SpoolError(f"{path} cannot be written: {error.strerror}", remedy)
