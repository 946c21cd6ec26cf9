# SPDX-License-Identifier: GPL-2.0-or-later
"""Sandboxes for tests: a real one, in which the built-in tool is replaced by a few lines of Python or shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcore.executor import choose, frames

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
#: An id that nobody has, for what an ordinary user would see.
STRANGER = 54321


def as_root(command: Sequence[str]) -> list[str]:
    """`command` as root: as it is for root, through sudo for a user that may."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", "--", *command]


def start(code: str, package: Path = REPOSITORY, *, door: bool = False) -> list[str]:
    """The command of a sandbox whose built-in tool is the Python text `code`."""
    text = (
        f"import sys; sys.path.insert(0, {str(package)!r}); from imgcore.executor import sandbox; "
        f"sandbox._START = {code!r}; sys.exit(sandbox.main(door={door}))"
    )
    return [PYTHON, "-I", "-c", text]


def shell(script: str) -> str:
    """Python text that becomes `/bin/sh -c script`."""
    return f"import os; os.execv('/bin/sh', ['sh', '-c', {script!r}])"


def can_be_direct() -> bool:
    """Whether this user can have a sandbox without sudo."""
    return os.geteuid() == 0 or choose.user_namespaces_work()


def direct(command: Sequence[str]) -> list[str]:
    """The command as this user, or as root where the kernel gives this user no sandbox."""
    return list(command) if can_be_direct() else as_root(command)


@dataclass
class Said:
    """All that a sandbox said."""

    lines: list[str] = field(default_factory=list)
    files: dict[str, tuple[int, dict[int, bytes]]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    refused: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def run(command: Sequence[str], cache: Path, *options: str, inputs: dict[str, bytes] | None = None) -> Said:
    """Run a sandbox to its end."""
    process = subprocess.Popen(
        [*command, "--tool=builtin", f"--cache={cache}", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(frames.pack_inputs(inputs or {}))
        process.stdin.flush()
    except BrokenPipeError:
        pass
    said = Said()
    name = ""
    for kind, content in frames.read(process.stdout):
        if kind == frames.LINES:
            said.lines += content.decode().split("\n")
        elif kind == frames.FILE:
            told = json.loads(content)
            name = told["name"]
            said.files[name] = (told["size"], {})
        elif kind == frames.DATA:
            offset, piece = frames.decode_data(content)
            said.files[name][1][offset] = piece
        elif kind == frames.END:
            said.end = json.loads(content)
        elif kind == frames.REFUSED:
            said.refused = json.loads(content)["message"]
    process.stdin.close()
    process.wait()
    return said


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A directory that every user can enter, with a copy of the package in it."""
    place = Path(tempfile.mkdtemp(prefix="imager-test-", dir="/var/tmp"))
    try:
        place.chmod(0o755)
        shutil.copytree(
            REPOSITORY / "imgcore",
            place / "imgcore",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)
        yield place
    finally:
        subprocess.run(as_root(["rm", "-rf", str(place)]), check=True)


def as_stranger(command: Sequence[str]) -> list[str]:
    """`command` as an ordinary user without any range of ids."""
    return as_root(["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--", *command])
