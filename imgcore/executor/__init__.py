# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a tool runs: in a sandbox on this machine, directly, through the sudo door, or in a virtual machine.

Inside the sandbox every tool finds the same places, whatever the executor:

    /run/imager/lib    read-only   Imager's own code (the tool `builtin` is started from here)
    /run/imager/in     read-only   the job's input (kickstart, plan)
    /run/imager/cache  read-write  the package cache that jobs share
    /run/imager/readable/N  read-only  the N-th directory that the task names
    /run/imager/out    scratch     what the job delivers: regular files only
    /run/imager/build  scratch     where it works; build/root is the image's root tree
    /run/imager/root   scratch     the same tree with /proc, /sys and a minimal /dev mounted in it
    /run/imager/tmp    scratch     also bound over /tmp and /var/tmp
    /run/imager/home   scratch     HOME

The rest of the machine is there read-only. Scratch is limited in size, and goes with the last process of the
sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["INPUTS", "KEPT", "READABLE", "Executor", "Limits", "Outcome", "Receiver", "Task"]

#: Where the sandbox shows a task's readable directories, by their number.
READABLE = "/run/imager/readable"
#: Where it has `Task.inputs`.
INPUTS = "/run/imager/in"
#: Where in a job's directory `Task.keep` is.
KEPT = "vm"


@dataclass(frozen=True)
class Limits:
    """What a job may use; 0 means no limit."""

    memory_bytes: int = 0
    processes: int = 0
    disk_bytes: int = 0
    seconds: float = 0
    #: What scratch is made of: `memory`, or `disk` (needs root).
    scratch: str = "memory"


@dataclass(frozen=True)
class Task:
    """One run of one tool.

    `arguments` follow the tool's command, which the executor knows by `tool` (`builtin`, or a name that the
    configuration maps to a command). `readable` are directories (local repositories), shown as
    /run/imager/readable/0, 1, … in their order.
    """

    tool: str
    arguments: tuple[str, ...]
    #: The files of /run/imager/in.
    inputs: Mapping[str, bytes]
    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    #: What a build that may reach nothing else must reach: its repositories.
    urls: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    #: The directory to be made, whole or not at all, of a virtual machine whose tool failed; None: none is kept.
    keep: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How the tool ended. `stopped_by` is empty, `cancel`, `time`, `memory`, `processes` or `disk`."""

    status: int
    signal: int = 0
    stopped_by: str = ""
    #: Of the whole tree.
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_disk_bytes: int = 0
    peak_processes: int = 0


class Receiver(Protocol):
    """What hears of a running task. All calls come from one thread, in order."""

    def line(self, text: str) -> None:
        """One line of the tool's merged output, without its newline, made safe for a terminal by nobody yet."""

    def sample(self, cpu_seconds: float, memory_bytes: int, disk_bytes: int, processes: int) -> None:
        """What the whole tree uses now (about twice a second)."""

    def file(self, name: str, size: int, mode: int) -> None:
        """A delivered file begins; `name` is relative, without `..`; data follows until the next file."""

    def data(self, offset: int, content: bytes) -> None:
        """A piece of the file begun last; what is never sent is a hole."""


class Executor(Protocol):
    """Runs one task to its end."""

    @property
    def name(self) -> str:
        """What the record calls it."""

    def run(self, task: Task, receiver: Receiver, stop: threading.Event) -> AbstractContextManager[Outcome]:
        """Run `task`: a `with` that begins when its outcome is known, all files delivered.

        It may take the sandbox a moment to be gone, which the `with` waits for at its end: then nothing is left.
        Setting `stop` ends the run soon with `stopped_by="cancel"`. Files are delivered only after a run that ended
        by itself. Raises BuildError where the sandbox itself cannot be made (cause `sandbox`), with what the machine
        lacks and what to choose instead.
        """
