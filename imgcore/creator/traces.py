# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the builder must not be in the image, and what would make two builds differ.

`lend_resolver` lets scriptlets and scripts resolve names as the builder does and takes that back; `forget_identity`
removes what scriptlets drew at random for this one machine; `strip` runs last, before file systems are made: no
locks, logs and caches of the package tools, no ctime-keyed caches, and no time later than the plan's.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgcore.creator.build import Build
from imgcore.creator.tree import Tree

__all__ = ["forget_identity", "lend_resolver", "strip"]

_RESOLVER = "/etc/resolv.conf"
_BUILDERS_RESOLVER = Path("/etc/resolv.conf")
#: Files and directories that package tools and caches leave, and that are made anew when they are missed.
_LEFT_OVER = (
    "/root/.rpmdb",
    "/root/.gnupg",
    "/var/lib/dnf",
    "/var/cache/dnf",
    "/var/cache/yum",
    "/var/cache/zypp",
    "/var/log/dnf.log",
    "/var/log/dnf.librepo.log",
    "/var/log/dnf.rpm.log",
    "/var/log/hawkey.log",
    "/var/log/yum.log",
    # Keyed by inode number and ctime, which differ from build to build.
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/systemd/random-seed",
)
_TEMPORARY = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - the image's own
_SECONDS_A_DAY = 86400


@contextmanager
def lend_resolver(tree: Tree) -> Iterator[None]:
    """The builder's resolv.conf in the image for the length of a `with`; what the image had comes back.

    A file that the packages or scripts wrote meanwhile stays.
    """
    try:
        lent = _BUILDERS_RESOLVER.read_text("utf-8", "surrogateescape")
    except OSError:
        yield
        return
    if not tree.has("/etc"):
        yield
        return
    place = tree.real(_RESOLVER, follow=False)
    was_link = os.readlink(place) if place.is_symlink() else None  # noqa: PTH115 - as it is written
    was_file = None if was_link is not None or not place.is_file() else (place.read_bytes(), place.stat())
    place.unlink(missing_ok=True)
    place.write_text(lent, "utf-8", "surrogateescape")
    lent_file = place.stat()
    try:
        yield
    finally:
        now = place.lstat() if place.exists() or place.is_symlink() else None
        same = now is not None and (now.st_ino, now.st_mtime_ns, now.st_size) == (
            lent_file.st_ino,
            lent_file.st_mtime_ns,
            lent_file.st_size,
        )
        if same:
            place.unlink()
            if was_link is not None:
                place.symlink_to(was_link)
            elif was_file is not None:
                content, status = was_file
                place.write_bytes(content)
                place.chmod(stat.S_IMODE(status.st_mode))
                os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def forget_identity(tree: Tree) -> None:
    """Empty the machine identifier that systemd's scriptlets draw: each device draws its own at its first boot."""
    place = tree.real("/etc/machine-id", follow=False)
    if place.is_file() and not place.is_symlink() and place.stat().st_size:
        place.write_bytes(b"")
    for path in ("/var/lib/dbus/machine-id", "/etc/hostid"):
        other = tree.real(path, follow=False)
        if other.is_file() and not other.is_symlink():
            other.unlink()


def strip(build: Build, tree: Tree, owned: frozenset[str]) -> None:
    """Remove what the build left behind. `owned` are the paths of packages, which stay."""
    for path in _LEFT_OVER:
        if path not in owned:
            _remove(tree.real(path, follow=False))
    for folder in _TEMPORARY:
        real = tree.real(folder, follow=False)
        if real.is_symlink() or not real.is_dir():
            continue
        for name in tree.names(folder):
            if not any(path == f"{folder}/{name}" or path.startswith(f"{folder}/{name}/") for path in owned):
                _remove(real / name)
    _settle_shadow(build, tree)
    _set_times(build, tree)


def _remove(real: Path) -> None:
    if real.is_dir() and not real.is_symlink():
        shutil.rmtree(real)
    else:
        real.unlink(missing_ok=True)


def _settle_shadow(build: Build, tree: Tree) -> None:
    """Set days of password changes that lie after the plan's time (scriptlets that add users) back to it."""
    latest = build.plan.source_date_epoch // _SECONDS_A_DAY
    for path in ("/etc/shadow", "/etc/shadow-"):
        lines = tree.lines(path)
        changed = []
        for line in lines:
            fields = line.split(":")
            if len(fields) > 2 and fields[2].isdigit() and int(fields[2]) > latest:
                fields[2] = str(latest)
            changed.append(":".join(fields))
        if changed != lines:
            tree.write(path, "".join(f"{line}\n" for line in changed))


def _set_times(build: Build, tree: Tree) -> None:
    """Whatever the build made or touched is from the plan's time: neither later nor from this run."""
    epoch = build.plan.source_date_epoch * 1_000_000_000
    # With an epoch that lies in the future, what was made just now is recognised by the build's start.
    limit = min(epoch, int(build.started) * 1_000_000_000)
    for entry in tree.walk():
        if entry.stat(follow_symlinks=False).st_mtime_ns > limit:
            os.utime(entry.path, ns=(epoch, epoch), follow_symlinks=False)
    if tree.top.stat().st_mtime_ns > limit:
        os.utime(tree.top, ns=(epoch, epoch))
