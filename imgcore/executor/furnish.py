# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories that a job sees: the machine read-only, and fresh ones to work in.

Called in a mount namespace that nobody else is in. All scratch is one file system of limited size
(imgcore.executor.scratch). A leaf: standard library only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from imgcore.executor import kernel, scratch
from imgcore.executor.identity import Range

__all__ = ["PLACE", "enter", "furnish"]

PLACE = "/run/imager"
#: Where the new /run is put together.
_STAGE = "/tmp"
_COVERED = ("/run/", "/tmp/", "/var/tmp/")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def furnish(
    files: Mapping[str, Mapping[str, bytes]],
    cache: int,
    readable: Sequence[tuple[str, int]],
    disk_bytes: int,
    owner: Range | None,
    *,
    own_paths: bool,
    backing: scratch.Backing | None = None,
) -> None:
    """Lay out PLACE. `cache` and `readable` are descriptors; `files` become the directories `lib` and `in`.

    `owner`: whose the new directories are; None: this process' user. `own_paths`: show readable directories
    also under their own path where /run or /tmp hid it. `backing`: what scratch is on instead of in memory.
    Raises OSError.
    """
    resolver = _resolver()
    kernel.read_only_everywhere()
    if backing is None:
        scratch.in_memory(_STAGE, disk_bytes)
    else:
        backing.mount(_STAGE)
    stage = Path(_STAGE, "imager")
    stage.mkdir(mode=0o755)
    _give(Path(_STAGE), owner)
    for name in ("lib", "in", "cache", "readable", "out", "build", "build/root", "root", "tmp", "home", "dev"):
        Path(stage, name).mkdir(mode=0o755)
        _give(stage / name, owner)
    _give(stage, owner)
    (stage / "tmp").chmod(0o1777)
    # Where /var/lock leads to.
    Path(_STAGE, "lock").mkdir()
    Path(_STAGE, "lock").chmod(0o1777)
    for directory, content in files.items():
        for name, text in content.items():
            target = stage / directory / name
            _parents(target, stage / directory, owner)
            target.write_bytes(text)
            target.chmod(0o644)
            _give(target, owner)
        kernel.bind(str(stage / directory), str(stage / directory), read_only=True)
    kernel.bind(f"/proc/self/fd/{cache}", str(stage / "cache"), read_only=False)
    for index, (_, descriptor) in enumerate(readable):
        target = stage / "readable" / str(index)
        target.mkdir()
        kernel.bind(f"/proc/self/fd/{descriptor}", str(target), recursive=True, read_only=True)
    for source in resolver:
        target = Path(_STAGE) / source.relative_to("/run")
        target.mkdir(parents=True)
        kernel.bind(str(source), str(target), read_only=True)
    kernel.bind(_STAGE, "/run", recursive=True)
    kernel.bind(f"{PLACE}/tmp", _STAGE)
    if Path("/var/tmp").is_dir():
        kernel.bind(f"{PLACE}/tmp", "/var/tmp")
    if own_paths:
        _make_writable("/etc", "/var")
        _make_full_dev()
        for index, (path, _) in enumerate(readable):
            if path.startswith(_COVERED):
                Path(path).mkdir(parents=True)
                kernel.bind(f"{PLACE}/readable/{index}", path, recursive=True)


def enter(*, minimal_dev: bool) -> None:
    """What only the first process of the new PID namespace can add: its /proc, and a /dev with nothing to break."""
    kernel.mount("proc", "/proc")
    if minimal_dev:
        _make_dev(f"{PLACE}/dev")
        kernel.bind(f"{PLACE}/dev", "/dev", recursive=True)
    tree = f"{PLACE}/root"
    kernel.bind(f"{PLACE}/build/root", tree)
    for name in ("proc", "sys", "dev"):
        Path(tree, name).mkdir(mode=0o755)
        kernel.bind(f"/{name}", f"{tree}/{name}", recursive=True)


def _make_writable(*directories: str) -> None:
    """Let a tool of the field write there (locks, udev rules, caches); what it writes goes with the scratch."""
    for directory in directories:
        own = Path(PLACE, "written", directory.strip("/"))
        for name in ("upper", "work"):
            (own / name).mkdir(parents=True)
        kernel.mount("overlay", directory, f"lowerdir={directory},upperdir={own}/upper,workdir={own}/work")
    # The overlay hides what was mounted below it.
    if Path("/var/tmp").is_dir():
        kernel.bind(f"{PLACE}/tmp", "/var/tmp")


def _make_full_dev() -> None:
    """A /dev with the machine's nodes, in which a tool that must be root can make more that only it sees."""
    kernel.mount("tmpfs", f"{PLACE}/dev", "size=1m,mode=755", devices=True)
    for each in Path("/dev").iterdir():
        status, target = each.lstat(), Path(PLACE, "dev", each.name)
        if stat.S_ISLNK(status.st_mode):
            target.symlink_to(each.readlink())
        elif stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            os.mknod(target, status.st_mode, status.st_rdev)
    for name in ("pts", "shm", "mapper"):
        Path(PLACE, "dev", name).mkdir()
    if Path("/dev/mapper/control").exists():
        status = Path("/dev/mapper/control").stat()
        os.mknod(f"{PLACE}/dev/mapper/control", status.st_mode, status.st_rdev)
    kernel.mount("devpts", f"{PLACE}/dev/pts", "newinstance,ptmxmode=0666,mode=620", devices=True)
    kernel.mount("tmpfs", f"{PLACE}/dev/shm", "mode=1777")
    kernel.bind(f"{PLACE}/dev", "/dev", recursive=True)


def _make_dev(target: str) -> None:
    kernel.mount("tmpfs", target, "size=64k,mode=755", devices=True)
    for name in _DEVICES:
        Path(target, name).touch()
        kernel.bind(f"/dev/{name}", f"{target}/{name}")
    for name in ("pts", "shm"):
        Path(target, name).mkdir()
    kernel.mount("devpts", f"{target}/pts", "newinstance,ptmxmode=0666,mode=620", devices=True)
    kernel.mount("tmpfs", f"{target}/shm", "mode=1777")
    for name, to in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        Path(target, name).symlink_to(to)


def _resolver() -> list[Path]:
    """The directories below /run that name resolution needs (systemd-resolved, NetworkManager, resolvconf)."""
    try:
        file = Path("/etc/resolv.conf").resolve(strict=True)
    except (OSError, RuntimeError):
        return []
    return [file.parent] if file.is_relative_to("/run") and file.parent != Path("/run") else []


def _parents(path: Path, top: Path, owner: Range | None) -> None:
    missing = [each for each in path.parents if each.is_relative_to(top) and not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o755)
        _give(each, owner)


def _give(path: Path, owner: Range | None) -> None:
    if owner is not None:
        os.chown(path, owner.first, owner.first_group)
