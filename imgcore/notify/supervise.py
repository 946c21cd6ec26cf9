# SPDX-License-Identifier: GPL-2.0-or-later
"""The process around one hook: whatever the hook starts ends with it, and it ends when its time is over.

    supervise.py SECONDS SOCKET HOOK

The hook gets this process' standard files, in a session of its own. What it leaves behind, in whatever session, has
this process as its parent (prctl(2), PR_SET_CHILD_SUBREAPER) and is killed. On SOCKET the exit status is told, `-9`
for a signal, `time` where it took too long; when the other end is closed, all of it ends. Run as a file: standard
library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run the hook."""
    seconds, descriptor, hook = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    line = socket.socket(fileno=descriptor)
    line.set_inheritable(False)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen([hook], start_new_session=True, preexec_fn=_die_with_parent)
    except OSError as error:
        line.sendall(f"it cannot be run: {error.strerror}".encode())
        return
    ended = os.pidfd_open(child.pid)
    ready = select.select([ended, line.fileno()], [], [], seconds)[0]
    statuses = _end_all()
    with contextlib.suppress(OSError):
        line.sendall(str(statuses.get(child.pid, "")).encode() if ended in ready else b"time")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end_all() -> dict[int, int]:
    """Kill every child, and what becomes one by that, until there is none; their exit statuses."""
    statuses: dict[int, int] = {}
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        for child in children.read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return statuses
        if pid:
            statuses[pid] = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.01)


if __name__ == "__main__":
    main()
