# SPDX-License-Identifier: GPL-2.0-or-later
"""The one place that runs commands inside a build.

Arguments are a list and never pass through a shell, the environment is given, standard input is closed,
output is streamed line by line, and a failure names the command as a person would type it.
A leaf: standard library only.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imgcore.errors import BuildError

__all__ = ["CommandFailed", "capture", "stream"]

#: How many of the last lines of a failed command its error carries.
TAIL_LINES = 40


class CommandFailed(BuildError):
    """A command ended with a status other than 0; `tail` has its last lines of output."""

    def __init__(self, argv: Sequence[str], status: int, tail: Sequence[str]) -> None:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        last = next((line.strip() for line in reversed(tail) if line.strip()), "")
        super().__init__(f"{shlex.join(argv)} {how}" + (f": {last}" if last else ""))
        self.argv = tuple(argv)
        self.status = status
        self.tail = tuple(tail)


def stream(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    stdin: bytes | None = None,
    preexec: Callable[[], None] | None = None,
) -> None:
    """Run `argv`, hand each line of its merged output to `on_line`, raise CommandFailed unless it ends with 0.

    `preexec` runs in the child before the command (to enter a root, to leave a namespace).
    A command that is not installed raises BuildError with the cause `tool-missing`.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=preexec,
        )
    except FileNotFoundError as error:
        raise BuildError(f"{argv[0]} is not there", "`img doctor` says what to install", "tool-missing") from error
    with process:
        if stdin is not None and process.stdin is not None:
            try:
                process.stdin.write(stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # the command did not want its input; its status tells the rest
        if process.stdout is None:
            raise AssertionError("stdout is a pipe")
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            tail.append(line)
            on_line(line)
    if process.returncode:
        raise CommandFailed(argv, process.returncode, tail)


def capture(argv: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run `argv` and return its output; errors as in `stream`."""
    lines: list[str] = []
    stream(argv, environment=environment, on_line=lines.append, cwd=cwd)
    return "".join(f"{line}\n" for line in lines)
