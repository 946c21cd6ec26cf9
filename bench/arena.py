# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one contender of a benchmark as root of a mount and PID namespace of its own, in a fresh tmpfs.

    run(Order(…)) -> Run      from outside; as an ordinary user it takes a user namespace
    python bench/arena.py     the inside: the order comes as JSON on standard input

All contenders get the same: the places of the built-in creator (in, out, build/root, root, cache, tmp, home) below
one directory in memory, with /proc, /sys and a minimal /dev in the root tree. Time and CPU time are taken inside,
from the start of the command to its end: making and removing the arena counts for nobody.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CHECKOUT", "ENVIRONMENT", "Order", "Run", "run"]

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from imgcore.executor import kernel  # noqa: E402
from imgcore.progress import parse  # noqa: E402

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_FOLDERS = ("in", "out", "build/root/proc", "build/root/sys", "build/root/dev", "root", "cache", "tmp", "home")
_DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True)
class Order:
    """One command. `{top}` in `argv` stands for the directory of the places."""

    argv: Sequence[str]
    #: Relative name to text, written before.
    files: Mapping[str, str] = field(default_factory=dict)
    #: A directory outside that is the cache; empty: a new one in memory.
    cache: str = ""
    #: Copied out of `out` afterwards, outside of the measured time: name to target.
    keep: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What one run took; `lines` are its output, each with the seconds since its start."""

    seconds: float
    cpu_seconds: float
    lines: tuple[tuple[float, str], ...]
    #: Bytes in use in the arena when the command had ended.
    used: int

    def phases(self) -> dict[str, float]:
        """Seconds of each phase that the built-in creator told; `start` is what came before the first."""
        found = {"start": 0.0}
        current, since = "start", 0.0
        for at, line in self.lines:
            told = parse(line)
            if told is not None and told.phase != current:
                found[current] = found.get(current, 0.0) + at - since
                current, since = told.phase, at
        found[current] = found.get(current, 0.0) + self.seconds - since
        return found


def run(order: Order) -> Run:
    """Run it. Raises RuntimeError with the end of its output where it fails."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    if os.geteuid():
        command += ["--user", "--map-root-user", "--map-auto"]
    top = Path(tempfile.mkdtemp(prefix="imager-arena-"))
    try:
        done = subprocess.run(
            [*command, sys.executable, str(Path(__file__).resolve()), str(top)],
            input=json.dumps(dataclasses.asdict(order)).encode(), stdout=subprocess.PIPE, check=False,
        )  # fmt: skip
    finally:
        top.rmdir()
    if done.returncode:
        raise RuntimeError(f"{order.argv[0]} failed: {done.stdout.decode('utf-8', 'replace')[-2000:]}")
    told = json.loads(done.stdout)
    lines = tuple((float(at), str(line)) for at, line in told["lines"])
    if told["status"]:
        last = "\n".join(line for _, line in lines[-20:])
        raise RuntimeError(f"{order.argv[0]} ended with status {told['status']}:\n{last}")
    return Run(told["seconds"], told["cpu_seconds"], lines, told["used"])


def _inside(top: Path) -> dict[str, Any]:
    order = json.load(sys.stdin)
    kernel.mount("proc", "/proc")
    kernel.mount("tmpfs", str(top), "mode=755")
    for name in _FOLDERS:
        if name != "cache" or not order["cache"]:
            (top / name).mkdir(parents=True)
    if order["cache"]:
        (top / "cache").symlink_to(order["cache"])
    _mount_root(top)
    for name, text in order["files"].items():
        target = top / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    environment = {**ENVIRONMENT, "HOME": str(top / "home"), "TMPDIR": str(top / "tmp"), **order["environment"]}
    argv = [each.replace("{top}", str(top)) for each in order["argv"]]
    lines = []
    began = time.perf_counter()
    with subprocess.Popen(
        argv, env=environment, cwd=top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for raw in process.stdout or ():
            lines.append((time.perf_counter() - began, raw.decode("utf-8", "replace").rstrip("\n")))
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    space = os.statvfs(top)
    for name, target in order["keep"].items() if process.returncode == 0 else ():
        shutil.copyfile(top / "out" / name, target)
    return {
        "status": process.returncode,
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "lines": lines,
        "used": (space.f_blocks - space.f_bfree) * space.f_frsize,
    }


def _mount_root(top: Path) -> None:
    kernel.bind(str(top / "build/root"), str(top / "root"))
    kernel.bind("/proc", str(top / "root/proc"), recursive=True)
    kernel.bind("/sys", str(top / "root/sys"), recursive=True)
    dev = top / "root/dev"
    kernel.mount("tmpfs", str(dev), "mode=755", devices=True)
    for name in _DEVICES:
        (dev / name).touch()
        kernel.bind(f"/dev/{name}", str(dev / name))


if __name__ == "__main__":
    json.dump(_inside(Path(sys.argv[1])), sys.stdout)
