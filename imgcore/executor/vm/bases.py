# SPDX-License-Identifier: GPL-2.0-or-later
"""Base images: the root file systems of other systems, that machines are made of, in a directory of their own.

    NAME.json              what it is and what it was made of; names the file, so that replacing it is one step
    NAME-DIGEST.img        the file system, or a disk with it: raw or qcow2, complete in itself, never written to
    .NAME.new/ .NAME.lock  one that is being made; who makes or removes it

A directory that is made here is closed to other users: who can open a file can hold a lock on it for ever.
Whoever starts a machine of a base holds a shared lock on its file until QEMU has it open; the file of a base that was
replaced or removed goes after that. A leaf.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgcore import atomic, names
from imgcore.errors import InputError, SpoolError
from imgcore.lock import Lock

__all__ = ["FORMATS", "Base", "adding", "digest", "known", "publish", "read", "remove", "updated", "used"]

#: What the file of a base may be.
FORMATS = ("raw", "qcow2")
_DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Base:
    """A base image. `recipe`: how it was made (`how`: debootstrap, kickstart or import, and what that needs)."""

    name: str
    file: Path
    format: str
    #: Bytes of the disk that a machine sees.
    size: int
    recipe: Mapping[str, Any]
    #: RFC 3339, UTC.
    made_at: str = ""
    #: Of the file, as hexadecimal digits.
    sha256: str = ""
    #: What a machine of it told of itself (imgcore.executor.vm.probe).
    found: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """The same for people and programs; what NAME.json has."""
        return {**dataclasses.asdict(self), "file": self.file.name}


def known(directory: Path) -> list[str]:
    """The names of the bases that there are, sorted."""
    return sorted(each.stem for each in directory.glob("*.json") if not each.name.startswith("."))


def read(directory: Path, name: str) -> Base:
    """The base of that name. Raises InputError where there is none, SpoolError where it cannot be used."""
    path = directory / f"{names.word('base', name)}.json"
    try:
        told = json.loads(path.read_bytes())
        base = Base(**{**told, "file": directory / Path(told["file"]).name})
        if base.name != name or base.format not in FORMATS:
            raise ValueError("it is another's")
    except FileNotFoundError as error:
        there = ", ".join(known(directory))
        raise InputError(
            f"there is no base image {name} in {directory}",
            f"there are: {there}" if there else "make one with `img vm make-base` or `img vm import`",
        ) from error
    except OSError as error:
        raise atomic.failed(path, error, "read") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SpoolError(f"{path} is not what describes a base image", "remove it, and make the base anew") from error
    return base


@contextlib.contextmanager
def adding(directory: Path, name: str) -> Iterator[Path]:
    """A directory for what becomes the base `name`; nobody else makes or removes that meanwhile.

    Raises InputError where somebody does, SpoolError.
    """
    with _alone(directory, name):
        _sweep(directory)
        place = directory / f".{name}.new"
        shutil.rmtree(place, ignore_errors=True)
        atomic.make_directory(place)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def publish(directory: Path, made: Base) -> Base:
    """Make what was made in `adding` the base of its name, at once; the old file goes when nobody starts with it.

    Raises SpoolError.
    """
    sha256 = digest(made.file)
    made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    target = directory / f"{made.name}-{sha256[:_DIGEST_LENGTH]}.img"
    base = dataclasses.replace(made, file=target, sha256=sha256, made_at=made_at)
    try:
        # QEMU may run as another user than who makes it, who is shown this file and not the directory.
        made.file.chmod(0o644)
        made.file.rename(target)
    except OSError as error:
        raise atomic.failed(target, error) from error
    _write(directory, base)
    _unlink_files(directory, base.name, but=target)
    return base


def updated(directory: Path, base: Base, found: Mapping[str, Any]) -> Base:
    """The base with what was found out about it now; for who holds its name by `adding`. Raises SpoolError."""
    base = dataclasses.replace(base, found=found)
    _write(directory, base)
    return base


def remove(directory: Path, name: str) -> None:
    """Remove the base; machines of it go on. Raises InputError where there is none, SpoolError."""
    path = directory / f"{names.word('base', name)}.json"
    if not path.exists():
        read(directory, name)
    with _alone(directory, name):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.failed(path, error, "removed") from error
        _unlink_files(directory, name)


@contextlib.contextmanager
def used(file: Path) -> Iterator[None]:
    """Keep a base's file where it is for the block. Raises OSError where it cannot be read or is gone."""
    with file.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH)
        file.stat()
        yield


def digest(file: Path) -> str:
    """SHA-256 of a file as hexadecimal digits. Raises SpoolError."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise atomic.failed(file, error, "read") from error


@contextlib.contextmanager
def _alone(directory: Path, name: str) -> Iterator[None]:
    names.word("base", name)
    atomic.make_directory(directory, 0o700)
    lock = Lock(directory / f".{name}.lock")
    try:
        if not lock.acquire(wait=False):
            raise InputError(f"the base image {name} is being made or removed", "wait until that has ended")
        yield
    finally:
        lock.close()


def _sweep(directory: Path) -> None:
    """Remove what makers have left that were killed."""
    for place in directory.glob(".*.new"):
        lock = Lock(place.with_suffix(".lock"))
        if lock.acquire(wait=False):
            shutil.rmtree(place, ignore_errors=True)
        lock.close()


def _write(directory: Path, base: Base) -> None:
    atomic.replace(directory / f"{base.name}.json", (json.dumps(base.told(), indent=1) + "\n").encode())


def _unlink_files(directory: Path, name: str, *, but: Path | None = None) -> None:
    """Remove the files of the base `name`, each when nobody starts a machine with it."""
    form = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{_DIGEST_LENGTH}}}\.img")
    for file in [each for each in directory.iterdir() if form.fullmatch(each.name) and each != but]:
        try:
            with file.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX)
                file.unlink()
        except OSError as error:
            raise atomic.failed(file, error, "removed") from error
