# SPDX-License-Identifier: GPL-2.0-or-later
"""Who the sandbox's users are on this machine: never root, whoever starts it.

    root started it       ids 0… of the sandbox are a range of this machine that nobody has
    a user started it     id 0 is the user, 1… are the user's range in /etc/subuid (by newuidmap)
    no such range         id 0 is the user, and there is no other

So a build script that is "root" can read and write what anybody can, or what the user can, and no more.
A leaf: standard library only.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Range", "map_process", "of_caller"]

#: Free on every Linux machine: systemd's table of ids leaves 1879048192 to 2147352575 to nobody
#: (https://systemd.io/UIDS-GIDS).
FIRST_OF_ROOT = 2_000_000_000
IDS_OF_ROOT = 65536


@dataclass(frozen=True)
class Range:
    """The ids 0 to `count` - 1 of the sandbox; id 0 is `first`, the next are `rest`… of this machine."""

    first: int
    first_group: int
    rest: int
    rest_group: int
    count: int
    privileged: bool


def of_caller() -> Range:
    """The ids that whoever runs this process may give away."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        first, last = FIRST_OF_ROOT, FIRST_OF_ROOT + IDS_OF_ROOT - 1
        if _reach("uid_map", first) >= last and _reach("gid_map", first) >= last:
            return Range(first, first, first + 1, first + 1, IDS_OF_ROOT, True)
        # Root of a container without ids to spare: as for a user, the sandbox's root is the caller.
        count = min(_reach("uid_map", 1), _reach("gid_map", 1), IDS_OF_ROOT - 1)
        return Range(0, 0, 1, 1, 1 + count, True)
    users = _granted(Path("/etc/subuid"), uid)
    groups = _granted(Path("/etc/subgid"), uid)
    if users is None or groups is None or not any(Path(d, "newuidmap").exists() for d in ("/usr/bin", "/bin")):
        return Range(uid, gid, 0, 0, 1, False)
    return Range(uid, gid, users[0], groups[0], 1 + min(users[1], groups[1], IDS_OF_ROOT - 1), False)


def map_process(pid: int, ids: Range) -> None:
    """Give the user namespace of process `pid` its ids; to be called from outside of it. Raises OSError."""
    if ids.privileged:
        _write(pid, "uid_map", _map(ids.first, ids.rest, ids.count))
        _write(pid, "gid_map", _map(ids.first_group, ids.rest_group, ids.count))
    elif ids.count == 1:
        _write(pid, "uid_map", f"0 {ids.first} 1")
        _write(pid, "setgroups", "deny")
        _write(pid, "gid_map", f"0 {ids.first_group} 1")
    else:
        for program, first, rest in (
            ("newuidmap", ids.first, ids.rest),
            ("newgidmap", ids.first_group, ids.rest_group),
        ):
            done = subprocess.run(
                [program, str(pid), "0", str(first), "1", "1", str(rest), str(ids.count - 1)],
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise PermissionError(1, done.stderr.strip() or f"ended with {done.returncode}", program)


def _reach(name: str, first: int) -> int:
    """The last id, from `first` on without a gap, that exists in our user namespace; 0 where `first` does not."""
    for line in Path("/proc/self", name).read_text(encoding="ascii").splitlines():
        start, _, count = map(int, line.split())
        if start <= first < start + count:
            return start + count - 1
    return 0


def _map(first: int, rest: int, count: int) -> str:
    # Two lines also where one would do: the kernel refuses a line that spans two of the namespace above
    # (user_namespaces(7)), and newuidmap has made two there.
    return f"0 {first} 1\n" + (f"1 {rest} {count - 1}\n" if count > 1 else "")


def _write(pid: int, name: str, text: str) -> None:
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _granted(path: Path, uid: int) -> tuple[int, int] | None:
    """The first range that subuid(5) grants to the user."""
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in names and first.isdecimal() and count.strip().isdecimal() and int(count) > 0:
            return int(first), int(count)
    return None
