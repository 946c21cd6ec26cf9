# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `img` as a person has it, in a home of its own: nothing of who runs the tests changes what it does.

A `Home` has spool, images, cache and report where a new user's would be (`~/.local/share/imager`).
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["EPOCH", "IMG", "Done", "Home", "at_once", "contents", "listing"]

IMG = Path(sys.executable).parent / "img"
#: A SOURCE_DATE_EPOCH for builds that must be the same each time.
EPOCH = "1700000000"

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Done:
    """How `img` ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        """What `--json` printed; fails where standard output is anything else."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Home:
    """A home directory at `path`, and `img` for who lives there."""

    def __init__(self, path: Path, *, command: Sequence[str | Path] = (IMG,), **environment: str) -> None:
        self.path = path
        self.data = path / ".local/share/imager"
        self.spool = self.data / "spool"
        self.images = self.data / "images"
        self._command = list(command)
        self._environment = environment
        path.mkdir(parents=True, exist_ok=True)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What `img` finds in its environment."""
        ours = {"PATH": os.environ["PATH"], "HOME": str(self.path), "LANG": "C.UTF-8"}
        return {**ours, **self._environment, **(more or {})}

    def command(self, *arguments: str | bytes | Path) -> list[str | bytes | Path]:
        """The command line of `img` with these arguments."""
        return [*self._command, *arguments]

    def img(
        self,
        *arguments: str | bytes | Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        text: str = "",
        umask: int = -1,
    ) -> Done:
        """Run `img`; `text` is its standard input."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(environment),
            cwd=directory,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=800,
            umask=umask,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def kickstart(self, text: str, name: str = "image.ks") -> Path:
        """A kickstart in the home."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def config(self, text: str, name: str = "imager.conf") -> Path:
        """A configuration file in the home."""
        return self.kickstart(text, name)

    def build(self, kickstart: Path, *options: str | Path, **how: Any) -> dict[str, Any]:
        """Build it with `--json`; the record. Fails where there is no image."""
        done = self.img("build", kickstart, "--json", *options, **how)
        assert done.code == 0, f"img build ended with {done.code}:\n{done.err}"
        return done.record

    def records(self) -> list[dict[str, Any]]:
        """The records of all jobs in the spool, oldest first."""
        paths = sorted(self.spool.glob("jobs/*/job.json"))
        return sorted((json.loads(each.read_bytes()) for each in paths), key=lambda each: str(each["requested_at"]))


def listing(top: Path) -> list[tuple[object, ...]]:
    """All that can be seen of what is below `top`; empty where there is nothing."""
    found: list[tuple[object, ...]] = []
    for path in sorted([top, *top.rglob("*")]) if top.exists() else []:
        status = path.lstat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        found.append((str(path.relative_to(top)), status.st_mode, status.st_ino, size, status.st_mtime_ns))
    return found


def contents(directory: Path, *without: str) -> dict[str, bytes]:
    """Every file below `directory` by its relative name, but those that end with one of `without`."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(without or ("/",))
    }


def at_once(work: Callable[[_Given], _Made], given: Sequence[_Given], workers: int = 4) -> list[_Made]:
    """`work` of each, some of them at a time."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, given))
