# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job could leave on the machine: taken before and after, and compared."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_TEMPORARY = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/run/lock", "/dev/mapper")
#: Of the test itself, or of others on the machine.
_NOT_OURS = (
    "pytest-",
    "imager-test-",
    "hsperfdata",
    "bash_",
    ".X",
    "playwright",
    "uv-",
    "pip-",
    ".org.chromium",
    "org.chromium",
    "clean-root",
    "imager-arena",
    "imager-bench",
    "imager-rabbitmq",
    "tmp",
)


@dataclass(frozen=True)
class Traces:
    """Mounts, loop devices, device-mapper nodes, processes, temporary files."""

    mounts: frozenset[str]
    loops: frozenset[str]
    mapped: frozenset[str]
    processes: frozenset[str]
    files: frozenset[str]

    def more_than(self, before: Traces) -> list[str]:
        """What is here and was not there before."""
        pairs = (
            (self.mounts, before.mounts),
            (self.loops, before.loops),
            (self.mapped, before.mapped),
            (self.processes, before.processes),
            (self.files, before.files),
        )
        return sorted(each for now, then in pairs for each in now - then)


def traces() -> Traces:
    """What there is now."""
    return Traces(
        mounts=frozenset(" ".join(line.split()[:3]) for line in Path("/proc/mounts").read_text().splitlines()),
        loops=frozenset(_output("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")),
        mapped=frozenset(each.name for each in Path("/dev/mapper").iterdir())
        if Path("/dev/mapper").is_dir()
        else frozenset(),
        processes=frozenset(_sandbox_processes()),
        files=frozenset(
            f"{place}/{each.name}"
            for place in _TEMPORARY
            if Path(place).is_dir()
            for each in Path(place).iterdir()
            if not each.name.startswith(_NOT_OURS)
        ),
    )


def _sandbox_processes() -> Iterator[str]:
    """Processes of sandboxes: those that start one, and those that see what a sandbox mounts."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        try:
            inside = " /run/imager/" in Path(f"/proc/{process.pid}/mountinfo").read_text()
        except OSError:
            inside = False
        if inside or "imgcore.executor.sandbox" in command or "imager-sandbox" in command:
            yield f"{process.pid} {command}"


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


@contextmanager
def nothing_left(seconds: float = 10.0) -> Iterator[None]:
    """Fails where something is left `seconds` after the body."""
    before = traces()
    yield
    end = time.monotonic() + seconds
    while (left := traces().more_than(before)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left, left
