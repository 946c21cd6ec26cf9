# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of text as the commands print them: aligned, the first ones at once, colours on a terminal only.

Whatever a record holds, nothing in a cell can move the cursor or begin another line.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

import click

from imgcore.buildlog import printable, without_credentials

__all__ = ["cell", "echo", "lines", "show"]

#: As many rows are looked at before the first is printed, to know how wide columns are.
_LOOKED_AT = 25
_GAP = "  "
#: Of words that stand alone in a cell.
_COLOURS = {
    "building": "cyan", "queued": "blue", "done": "green", "tested": "green", "failed": "red", "cancelled": "yellow",
    "damaged": "magenta",
}  # fmt: skip


def cell(text: object) -> str:
    """Text from outside, fit for one line of a terminal."""
    return "".join(each for each in " ".join(without_credentials(printable(str(text))).split()) if each.isprintable())


def echo(line: str) -> None:
    """A line on standard output; colours stay only on a terminal whose user does not mind them."""
    click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


def show(titles: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> None:
    """Print a table; nothing where there are no rows."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines(titles, rows, right, width):
        echo(line)


def lines(
    titles: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = (), width: int = 0
) -> Iterator[str]:
    """The lines of a table, cut at `width` (0: not at all); the columns `right` have their ends below each other."""
    coming = (tuple(map(cell, row)) for row in rows)
    first = list(itertools.islice(coming, _LOOKED_AT))
    if not first:
        return
    widths = [max(map(len, column)) for column in zip(titles, *first, strict=True)]
    for number, row in enumerate(itertools.chain([tuple(titles)], first, coming)):
        yield _line(row, widths, [title in right for title in titles], width, title=not number)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool], width: int, *, title: bool) -> str:
    left = width or sys.maxsize
    parts = []
    for number, (text, wide, to_right) in enumerate(zip(row, widths, right, strict=True)):
        last = number == len(row) - 1
        padded = text.rjust(wide) if to_right else text if last else text.ljust(wide)
        shown = padded[:left]
        left = max(0, left - len(padded) - len(_GAP))
        colour = _COLOURS.get(text)
        parts.append(click.style(shown, bold=True) if title else click.style(shown, fg=colour) if colour else shown)
        if not left:
            break
    return _GAP.join(parts).rstrip()
