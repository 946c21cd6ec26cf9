# SPDX-License-Identifier: GPL-2.0-or-later
"""Executable hooks: each program in the directory gets the record as JSON on its standard input.

As with run-parts(8) a name has letters, digits, `_` and `-` only. A hook has a time limit, an environment that is
not ours, no argument, `/` as directory, and is refused where others could have written it. Its exit status says how
it was: 0 done, 75 (EX_TEMPFAIL of sysexits.h) not now, anything else not at all.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from imgcore.notify.channel import NotDelivered
from imgcore.notify.outbox import Letter

__all__ = ["Hooks"]

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SUPERVISE = Path(__file__).with_name("supervise.py")
_TRY_AGAIN = 75
#: As much of what a hook says is kept.
_MOST_BYTES = 16 << 10
#: How long after its time a hook may take to be gone.
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Hooks:
    """The hooks in a directory, each of which may take so many seconds."""

    directory: Path
    seconds: float
    name: str = "hook"

    def whom(self, job: Mapping[str, Any]) -> Sequence[str]:
        """See `Channel.whom`: every hook, of every job."""
        try:
            found = sorted(path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            return ()
        return [path.name for path in found if path.is_file() and os.access(path, os.X_OK)]

    def deliver(self, letter: Letter, log: Callable[[str], None]) -> None:
        """See `Channel.deliver`."""
        path = self.directory / letter.whom
        if not _NAME.fullmatch(letter.whom):
            raise NotDelivered("it is no name of a hook", final=True)
        for each in (path, self.directory):
            _refuse_foreign(each)
        ended, output = self._run(path, letter)
        if output:
            # Set in, so that it is no line of the log's own.
            log("\n  ".join([f"{letter.whom} says:", *output.decode("utf-8", "replace").splitlines()]))
        if ended == "time":
            raise NotDelivered(f"it was ended after {self.seconds:g} s", final=True)
        if ended != "0":
            how = f"it ended with status {ended}" if ended.lstrip("-").isdecimal() else ended or "it was killed"
            raise NotDelivered(how, final=ended != str(_TRY_AGAIN))

    def _run(self, path: Path, letter: Letter) -> tuple[str, bytes]:
        """How it ended, as `supervise` tells, and the first of what it said."""
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryFile() as record:
            record.write(json.dumps(letter.job).encode() + b"\n")
            record.seek(0)
            with theirs:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", _SUPERVISE, f"{self.seconds}", f"{theirs.fileno()}", path],
                    stdin=record,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    env=_environment(letter),
                )
            with child:
                if child.stdout is None:
                    raise AssertionError("stdout is a pipe")
                try:
                    output = _read(child.stdout, time.monotonic() + self.seconds + _GRACE_SECONDS)
                    ours.settimeout(_GRACE_SECONDS)
                    return ours.recv(1000).decode(), output
                except TimeoutError:
                    return "time", b""
                finally:
                    child.kill()


def _read(pipe: IO[bytes], deadline: float) -> bytes:
    """The first of what comes, to the end of all that comes. Raises TimeoutError."""
    kept = bytearray()
    dropped = 0
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(pipe.fileno(), 1 << 16)
        if not piece:
            return bytes(kept) + (f"\n[{dropped} bytes more]".encode() if dropped else b"")
        room = _MOST_BYTES - len(kept)
        kept += piece[:room]
        dropped += max(0, len(piece) - room)


def _environment(letter: Letter) -> dict[str, str]:
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/"
    told = {"IMAGER_JOB": letter.image_id, "IMAGER_STATUS": str(letter.job["status"])}
    return {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": home, **told}


def _refuse_foreign(path: Path) -> None:
    """Raises NotDelivered where others than root and this user can have written it."""
    try:
        status = path.stat()
    except OSError as error:
        raise NotDelivered(f"{path} cannot be run: {error.strerror}", final=True) from error
    if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o022:
        raise NotDelivered(f"others than root and this user can write {path}: chmod go-w it", final=True)
