# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with the sudo door installed, for an ordinary user: this machine, with mounts that nobody else sees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.sandboxes import REPOSITORY, as_root

USER, UID = "door-tester", 54322

_FURNISH = f"""
set -eu
mount --make-rprivate /
mkdir "$1/etc" "$1/upper" "$1/work"
cp -a /etc/. "$1/etc/"
mount --bind "$1/etc" /etc
mount -t overlay -o "lowerdir=/usr/lib,upperdir=$1/upper,workdir=$1/work" overlay /usr/lib
echo "{USER}:x:{UID}:{UID}::/nonexistent:/bin/sh" >>/etc/passwd
echo "{USER}:*:19000:0:99999:7:::" >>/etc/shadow
echo "{USER}:x:{UID}:" >>/etc/group
mkdir -p "$1/cache" "$1/repositories/one"
chown {UID}:{UID} "$1/cache"
# Nobody's but ours is wanted, and these mounts are seen by nobody else.
"$2/conf/install-door" --remove
"$2/conf/install-door" {USER} "$1/cache" "$1/repositories"
echo "ready $$"
exec sleep 1000
"""


@dataclass(frozen=True)
class Machine:
    """The machine; `place` has `cache` and `repositories`, the roots of the door."""

    place: Path
    holder: int

    def command(self, command: Sequence[str], *, user: bool = True) -> list[str]:
        """`command` on that machine, by its user or by root."""
        who = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if user else []
        inner = ["setpriv", *who, "--", *command] if who else list(command)
        return as_root(["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--", *inner])

    def run(self, *command: str, user: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `command` there."""
        return subprocess.run(self.command(command, user=user), capture_output=True, text=True, check=False)


@contextmanager
def machine(place: Path) -> Iterator[Machine]:
    """Make it in the empty directory `place`, which every user can enter."""
    tmpfs = 'mount -t tmpfs tmpfs "$1" && exec sh -c "$3" - "$1" "$2"'
    process = subprocess.Popen(
        as_root(
            ["unshare", "--mount", "--kill-child", "sh", "-c", tmpfs, "-", str(place), str(REPOSITORY), _FURNISH]
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready "):
            break
    assert lines and lines[-1].startswith("ready "), lines
    holder = int(lines[-1].split()[1])
    try:
        yield Machine(place, holder)
    finally:
        subprocess.run(as_root(["kill", str(holder)]), check=True)
        process.wait()
        process.stdout.close()
