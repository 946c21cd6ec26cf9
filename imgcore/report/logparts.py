# SPDX-License-Identifier: GPL-2.0-or-later
"""A log that is longer than what the page of its job shows, as pages of a thousand lines.

Up to 2 MiB the whole of it, beyond that its first half MiB and its last 1.5 MiB, so that a log of any size costs
no more. A part keeps its lines while the log grows: it is numbered from the start. Where the lines are too many to
count it is from the end, and there are parts of the end only when nothing more is coming.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.report import log

__all__ = ["LINES", "Part", "PartPage", "page", "parts"]

LINES = 1000
WHOLE = 2 * 2**20
_HEAD = WHOLE // 4
#: A line of a byte makes many parts.
_MOST = 40


@dataclass(frozen=True)
class Part:
    """The lines `first` to `last`, from the end where they are negative, in the bytes `start` to `end` of the log."""

    first: int
    last: int
    start: int
    end: int

    @property
    def stem(self) -> str:
        """The name of its page, without the ending."""
        return f"log-{self.first // LINES + 1}" if self.first > 0 else f"log-end-{-self.last // LINES + 1}"

    @property
    def href(self) -> str:
        """Its address, from the page of the job."""
        return f"{self.stem}.html"

    @property
    def label(self) -> str:
        """`1,001 to 2,000`."""
        return f"{self.first:,} to {self.last:,}"


@dataclass(frozen=True)
class PartPage:
    """A part as it is shown, with those before and behind it."""

    part: Part
    lines: tuple[log.Line, ...]
    before: Part | None
    after: Part | None

    @property
    def marked(self) -> tuple[log.Line, ...]:
        """Its lines that tell of an error."""
        return tuple(each for each in self.lines if each.kind == "bad")


def parts(path: Path, *, growing: bool = False) -> tuple[Part, ...]:
    """The parts of the log at `path`, in order; none where the page of the job shows all of it."""
    try:
        with path.open("rb") as file:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
            if size <= WHOLE:
                found = list(_split(os.pread(descriptor, size, 0), 0, 1))
            else:
                found = list(_split(os.pread(descriptor, _HEAD, 0), 0, 1, torn=True))[:_MOST]
                start = size - (WHOLE - _HEAD)
                content = os.pread(descriptor, size - start, start)
                # The first line of it has begun before.
                skipped = content.find(b"\n") + 1
                if size <= log.COUNTED and skipped:
                    number = log.count(descriptor, start + skipped) + 1
                    found += _split(content[skipped:], start + skipped, number)
                elif skipped and not growing:
                    found += _from_the_end(content, start)
    except OSError:
        return ()
    if found and found[-1].last in range(1, log.SHOWN + 1):
        return ()
    return (*found[:_MOST], *found[_MOST:][-_MOST:])


def page(path: Path, found: Sequence[Part], at: int) -> PartPage:
    """The page of the part `found[at]` of the log at `path`; without lines where that has gone."""
    part = found[at]
    try:
        with path.open("rb") as file:
            pieces = os.pread(file.fileno(), part.end - part.start, part.start).split(b"\n")
    except OSError:
        pieces = []
    shown = tuple(log.lines(part.first, pieces[: part.last - part.first + 1]))
    return PartPage(part, shown, found[at - 1] if at else None, found[at + 1] if at + 1 < len(found) else None)


def _ends(content: bytes) -> list[int]:
    """Behind each line of `content`, the last one with or without its end."""
    ends: list[int] = []
    at = 0
    for piece in content.split(b"\n"):
        at += len(piece) + 1
        ends.append(at)
    if ends[-1] == len(content) + 1:
        ends[-1] -= 1
    return ends if len(ends) < 2 or ends[-1] > ends[-2] else ends[:-1]


def _split(content: bytes, start: int, number: int, *, torn: bool = False) -> Iterator[Part]:
    """Parts of lines the first of which has this number; with `torn`, whole ones only."""
    if not content:
        return
    ends = [0, *_ends(content)]
    # Where a thousand begins.
    at = -(number - 1) % LINES
    while at < len(ends) - 1:
        until = min(at + LINES, len(ends) - 1)
        if not torn or until - at == LINES:
            yield Part(number + at, number + until - 1, start + ends[at], start + ends[until])
        at = until


def _from_the_end(content: bytes, start: int) -> Iterator[Part]:
    ends = _ends(content)
    count = len(ends) - 1  # without the first, which is not whole
    for number in range(count // LINES, 0, -1):
        at = len(ends) - 1 - number * LINES
        yield Part(-number * LINES, -(number - 1) * LINES - 1, start + ends[at], start + ends[at + LINES])
