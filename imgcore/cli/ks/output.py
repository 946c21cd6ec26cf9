# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a changed kickstart goes: standard output, a file, or the place of the old one."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from imgcore import atomic
from imgcore.cli import options
from imgcore.errors import InputError

__all__ = ["output", "put"]

_F = TypeVar("_F", bound=Callable[..., Any])


def output(function: _F) -> _F:
    """`--output`, `--in-place` and `--diff`."""
    where = click.option("-o", "--output", "target", type=options.path, help="The file to write  [default: print it]")
    place = click.option("-i", "--in-place", is_flag=True, help="Write to KS itself.")
    diff = click.option("--diff", "diff_wanted", is_flag=True, help="Print what changes, and write nothing.")
    return where(place(diff(function)))


def put(
    ks: Path, content: bytes, text: str, diff: str, *, target: Path | None, in_place: bool, diff_wanted: bool
) -> None:
    """Write the text to where it is wanted, encoded like the `content` of KS. Raises InputError, SpoolError."""
    if diff_wanted:
        click.echo(diff, nl=False)
        return
    if in_place and (target is not None or str(ks) == "-"):
        raise InputError("option --in-place: there is another place to write to", "leave one of them out")
    from imgcore.kickstart.decode import encode

    path = ks if in_place else target
    written = encode(text, content, str(ks))
    if path is None:
        sys.stdout.buffer.write(written)
        return
    # A link stays one: what it leads to is replaced, and keeps its mode.
    real = path.resolve()
    atomic.replace(real, written, stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o644)
