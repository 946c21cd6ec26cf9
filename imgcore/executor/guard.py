# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sudo door lets through: directories inside the roots that root's own configuration names.

    /etc/imager/sandbox.conf        owned by root, writable by nobody else, and so are the directories above it

    [roots]                         one directory a line
    cache =                         where packages are kept
    readable =                      where local repositories are
    [limits]
    disk = 34359738368              bytes, the most that a job may ask for
    [tools]                         tools besides `builtin`; they run as root, see docs/security.md
    mic = /usr/bin/mic

A path is opened component by component from its root and no component may be a symbolic link, so what was
checked is what is used. A leaf: standard library only.
"""

from __future__ import annotations

import configparser
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONFIGURATION", "Refused", "Rules", "load", "open_inside"]

CONFIGURATION = Path("/etc/imager/sandbox.conf")
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """The door stays closed; the text says why."""


@dataclass(frozen=True)
class Rules:
    """What root's configuration allows."""

    roots: Mapping[str, tuple[str, ...]]
    disk_bytes: int
    tools: Mapping[str, tuple[str, ...]]


def load(path: Path = CONFIGURATION) -> Rules:
    """Read root's configuration. Raises Refused unless only root can have written it."""
    for each in (path, *path.parents):
        try:
            status = each.lstat()
        except OSError as error:
            raise Refused(f"{each} cannot be read: {error.strerror}") from error
        if stat.S_ISLNK(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
            raise Refused(f"{each} must be root's own and writable by nobody else")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        roots = {
            kind: tuple(line.strip() for line in parser.get("roots", kind, fallback="").splitlines() if line.strip())
            for kind in ("cache", "readable")
        }
        disk = parser.getint("limits", "disk", fallback=32 * 2**30)
        tools = (
            {name: tuple(shlex.split(line)) for name, line in parser["tools"].items()} if "tools" in parser else {}
        )
    except (configparser.Error, ValueError, OSError) as error:
        raise Refused(f"{path}: {str(error).splitlines()[0]}") from error
    return Rules(roots, disk, tools)


def open_inside(path: str, roots: Sequence[str], what: str) -> int:
    """A descriptor (O_PATH) of a directory that lies in one of `roots`. Raises Refused."""
    parts = path.split("/")
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]) or "\0" in path:
        raise Refused(f"{what} {path!r} is not a plain absolute path")
    root = next((each for each in roots if path == each or path.startswith(each.rstrip("/") + "/")), None)
    if root is None:
        raise Refused(f"{what} {path!r} is outside the roots that {CONFIGURATION} names")
    try:
        descriptor = os.open(root, _DIRECTORY)
        for part in Path(path).relative_to(root).parts:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except OSError as error:
        raise Refused(f"{what} {path!r} is not a directory without symbolic links: {error.strerror}") from error
    return descriptor
