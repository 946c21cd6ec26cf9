# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends processes that scripts and scriptlets leave running: a daemon must not write on while the image is made.

`adopt` makes orphans children of this process instead of the sandbox's first one, so that `end` finds them.
`watched` gives a child's `preexec` function a keeper in between, which ends whatever the command leaves as soon
as the command has ended: otherwise a daemon that holds the command's output open would hold the build.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["adopt", "end", "watched"]

_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PATIENCE = 2.0


def adopt() -> None:
    """Become the parent of whatever our descendants leave behind."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(proc: Path) -> list[str]:
    """Kill every child of this process; `proc` is a /proc of its PID namespace. Returns the commands' names."""
    names: list[str] = []
    limit = time.monotonic() + _PATIENCE
    # The children of a killed child come to us, so that one round may not be enough.
    while time.monotonic() < limit:
        children = _children(proc)
        if not children:
            break
        for pid, name in children:
            names.append(name)
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue
    return names


def _children(proc: Path) -> list[tuple[int, str]]:
    found = []
    me = (proc / "self").readlink().name if (proc / "self").is_symlink() else ""
    for folder in proc.glob("[0-9]*"):
        try:
            # PID (NAME) STATE PPID …; the name may have spaces and brackets.
            before, _, after = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
        except OSError:
            continue
        if after.split()[1] == me:
            found.append((int(folder.name), before.partition("(")[2]))
    return found


def watched(proc: Path, enter: Callable[[], None]) -> Callable[[], None]:
    """A `preexec` that calls `enter` in the command's own process and leaves a keeper as its parent."""

    def fork() -> None:
        adopt()
        pid = os.fork()
        if pid == 0:
            enter()
            return
        # Not to hold the pipe by which the command's start is told.
        os.closerange(3, 65536)
        _, status = os.waitpid(pid, 0)
        end(proc)
        if os.WIFSIGNALED(status):
            ending = os.WTERMSIG(status)
            if ending != signal.SIGKILL:
                signal.signal(ending, signal.SIG_DFL)
            os.kill(os.getpid(), ending)
        os._exit(os.waitstatus_to_exitcode(status))

    return fork
