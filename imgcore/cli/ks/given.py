# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstarts as the subcommands are given them: a path or `-`, tokens, a directory for what they include."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from imgcore.cli import options
from imgcore.errors import InputError

__all__ = ["Given", "given", "includes"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "armv7l": "armv7hl"}
#: More than a kickstart may have; that it is too much is told by who decodes it.
_MOST_BYTES = 9 * 2**20


@dataclass(frozen=True)
class Given:
    """A kickstart's bytes, the directory that it may include files of, and its name below that."""

    content: bytes
    root: Path | None
    name: str

    def path(self, file: str) -> str:
        """Where a file is that a message speaks of, as a person here would write it."""
        return str(self.root / file) if self.root is not None else file

    def tokens(self, known: Mapping[str, str], arch: str = "") -> Mapping[str, str]:
        """The values of tokens that a build of it would have: those that are known, and mic's defaults."""
        from imgcore.kickstart import header, with_defaults

        machine = platform.machine()
        arch = arch or header(self.content[:65536].decode("latin-1")).arch or _MACHINES.get(machine, machine)
        return with_defaults(known, arch=arch)


def given(path: Path, root: Path | None = None) -> Given:
    """The kickstart at `path` (`-`: standard input). Raises InputError where it cannot be read."""
    if str(path) == "-":
        return Given(sys.stdin.buffer.read(_MOST_BYTES), root, "<stdin>")
    real = Path(os.path.realpath(path))
    # A linked kickstart includes what is beside itself, not beside the link.
    root = root or (real.parent if path.is_symlink() and real.exists() else path.parent)
    try:
        relative = real.relative_to(os.path.realpath(root))
    except ValueError:
        raise InputError(f"kickstart {path} is not below {root}", "name another --root") from None
    try:
        with path.open("rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISFIFO(kind):
                raise InputError(f"kickstart {path} is not a file", "give the path of a kickstart")
            return Given(file.read(_MOST_BYTES), root, str(relative) if root != path.parent else path.name)
    except OSError as error:
        raise InputError(f"kickstart {path} cannot be read: {error.strerror}", "check the path") from error


def includes(function: _F) -> _F:
    """`--root` and `--tokenmap`."""
    root = click.option(
        "--root", type=options.path, help="What %include may name files of  [default: the kickstart's directory]"
    )
    values = click.option("--tokenmap", default="", metavar="K:V,…", help="Values for @K@.")
    return root(values(function))
