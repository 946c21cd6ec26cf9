# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the creator as the sandbox does: a process of /usr/bin/python3 in its own mount and PID namespace.

`Run.start` lays out a workplace in a temporary directory, mounts /proc, /sys and a minimal /dev into the root
tree, runs one plan, and tells what came out. As an ordinary user it takes a user namespace.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcore.creator.main import workplace_below
from imgcore.creator.plan import Plan, Workplace, to_json
from imgcore.errors import BuildError, parse
from imgcore.progress import Progress
from imgcore.progress import parse as parse_progress

__all__ = ["EPOCH", "Run", "create", "listing", "namespace"]

EPOCH = 1_700_000_000
_LIBRARY = Path(__file__).parents[2]
_MOUNT = """
set -e
if [ -n "$2" ]; then
    mount -t tmpfs -o "size=$2" small "$1/build"
    mkdir -p "$1/build/root/proc" "$1/build/root/sys" "$1/build/root/dev"
fi
mount --bind "$1/build/root" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /sys "$1/root/sys"
mount -t tmpfs -o mode=755 dev "$1/root/dev"
for node in null zero full random urandom; do
    : > "$1/root/dev/$node"; mount --bind "/dev/$node" "$1/root/dev/$node"
done
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class Run:
    """What one run of the creator did."""

    status: int
    lines: tuple[str, ...]
    place: Workplace
    error: BuildError | None
    progress: tuple[Progress, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        """The root tree that was made."""
        return self.place.tree

    @property
    def log(self) -> str:
        """All that it said."""
        return "\n".join(self.lines)

    @property
    def warnings(self) -> list[str]:
        """The warnings of the result."""
        return list(self.result.get("warnings", ()))

    def packages(self) -> list[str]:
        """The names in the manifest."""
        return [package["name"] for package in self.result["packages"]]

    def text(self, path: str) -> str:
        """The text of a file of the image."""
        return (self.tree / path.lstrip("/")).read_text()


def namespace(*, single_user: bool = False) -> list[str]:
    """The command that starts another as root of namespaces of its own (`single_user`: no user but that one)."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    if single_user:
        return [*command, "--user", "--map-root-user"]
    return command if os.geteuid() == 0 else [*command, "--user", "--map-root-user", "--map-auto"]


def create(
    top: Path,
    plan: Plan,
    *,
    cache: Path | None = None,
    single_user: bool = False,
    disk: str = "",
    files: Mapping[str, str] | None = None,
) -> Run:
    """Run `plan` in a workplace below `top`; `files` are put into the root tree before.

    `disk` limits the size of the place where the tree is (and then the tree is gone afterwards).
    """
    place = workplace_below(top)
    for folder in (place.inputs, place.out, place.tree, place.root, place.tmp, place.home):
        folder.mkdir(parents=True)
    if cache is None:
        place.cache.mkdir()
    else:
        place.cache.symlink_to(cache)
    for name in ("proc", "sys", "dev"):
        (place.tree / name).mkdir()
    for name, text in (files or {}).items():
        target = place.tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (place.inputs / "plan.json").write_text(to_json(plan))
    code = "import sys; sys.path.insert(0, sys.argv[1]); from imgcore.creator.main import main"
    code += "; sys.exit(main(sys.argv[2:]))"
    creator = ["/usr/bin/python3", "-I", "-B", "-c", code, str(_LIBRARY), str(top)]
    argv = [*namespace(single_user=single_user), "sh", "-c", _MOUNT, "sh", str(top), disk, *creator]
    done = subprocess.run(
        argv,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place.home), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=300,
    )
    lines = tuple(done.stdout.decode("utf-8", "replace").splitlines())
    found = place.out / "result.json"
    return Run(
        status=done.returncode,
        lines=lines,
        place=place,
        error=next((error for line in reversed(lines) if (error := parse(line))), None),
        progress=tuple(progress for line in lines if (progress := parse_progress(line))),
        result=json.loads(found.read_text()) if found.exists() else {},
    )


def listing(top: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `top`: type and mode, owner, group, size, time, and digest or link target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        owner = (status.st_uid, status.st_gid)
        found[str(path.relative_to(top))] = (oct(status.st_mode), *owner, size, status.st_mtime_ns, content)
    return found
