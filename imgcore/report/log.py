# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a build log as numbered lines, and the line in it that explains a failure.

The cost is bounded whatever the log's size: only its last half MiB is looked at, and its lines are counted only
up to 64 MiB; beyond that lines are numbered from the end. Terminal escapes go but for colours, each line beginning
without any; a progress line that redraws itself is shown as it was left, long lines are cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgcore import errors, progress
from imgcore.buildlog import ESCAPES
from imgcore.report import colours, text

__all__ = ["COUNTED", "SHOWN", "Line", "Tail", "count", "lines", "read"]

SHOWN = 300
WINDOW = 512 * 1024
COUNTED = 64 * 2**20
WIDEST = 1000
_CONTEXT = 3

_TIME = re.compile(r"^\[?(?:\d{4}-\d\d-\d\d[T ])?(\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:Z|\+00:00)?\]?(?:[ \t]|$)")
_BAD = re.compile(
    r"^\W*(?:E|error|fatal|failed|failure|traceback|critical|panic)\b|\b(?:error|fatal|critical)\b ?(?:<|\[|:)"
    r"|\bunable to\b|\bcannot\b|\bcould ?n[o']t\b|\bno space left|\bno such file|\bnot found\b|\bfailed\b|\bdenied\b"
    r"|\bnothing provides\b|\babort",
    re.IGNORECASE,
)
_DOUBTFUL = re.compile(r"^\W*(?:W|warn(?:ing)?)\b|\bwarning\b ?(?:<|\[|:)", re.IGNORECASE)
_HEAD = re.compile(r"^\s*(?:error|e|fatal)\b[^:]{0,60}:\s*", re.IGNORECASE)
#: Ends that nothing in the log explains: the build was stopped from outside.
_FROM_OUTSIDE = {"time-out", "out-of-memory", "too-many-processes", "killed", "sandbox"}


@dataclass(frozen=True)
class Line:
    """One line. `number` counts from 1, or from the end (-1 is the last) where the log is too long to count."""

    number: int
    text: str
    time: str = ""
    #: Empty, `phase`, `step`, `bad` or `doubtful`.
    kind: str = ""
    cause: bool = False
    #: The text in pieces with their colours; empty where it has none.
    spans: tuple[colours.Span, ...] = ()

    @property
    def anchor(self) -> str:
        """The line's id in the page."""
        return f"L{self.number}" if self.number > 0 else f"E{-self.number}"


@dataclass(frozen=True)
class Tail:
    """The last lines of a log."""

    lines: tuple[Line, ...]
    size: int
    #: How many lines the log has; None where it is too long to count.
    total: int | None
    #: The line that explains the failure with those around it; without such a line, the last ones.
    excerpt: tuple[Line, ...] = ()

    @property
    def explained(self) -> bool:
        """Whether the excerpt has the line that explains the failure."""
        return any(line.cause for line in self.excerpt)

    def shows(self, line: Line) -> bool:
        """Whether `line` (of the excerpt) is among `lines`."""
        return bool(self.lines) and line.number >= self.lines[0].number


def read(path: Path, *, failed: bool = False, error: str = "", cause: str = "", shown: int = SHOWN) -> Tail | None:
    """The end of the log at `path`; None where there is none that can be read.

    `error` and `cause` are what the record says of a failure; they help to find the line that explains it.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            total = count(file.fileno(), size) if size <= COUNTED else None
            start = max(0, size - WINDOW)
            content = os.pread(file.fileno(), size - start, start)
    except OSError:
        return None
    pieces = content.split(b"\n")
    if pieces and not pieces[-1]:
        pieces.pop()
    if start and len(pieces) > 1:
        pieces.pop(0)
    first = total - len(pieces) + 1 if total is not None else -len(pieces)
    # The search sees a little more than what is shown; a reader's question is answered near the end.
    looked = max(0, len(pieces) - 10 * shown)
    found = lines(first + looked, pieces[looked:])
    excerpt: tuple[Line, ...] = ()
    if failed:
        at = None if cause in _FROM_OUTSIDE else _explains([line.text for line in found], error)
        if at is not None:
            found[at] = replace(found[at], cause=True, kind="bad")
            excerpt = tuple(found[max(0, at - _CONTEXT) : at + 2])
        else:
            excerpt = tuple(found[-2 * _CONTEXT :])
    return Tail(tuple(found[-shown:]), size, total, excerpt)


def count(descriptor: int, size: int) -> int:
    """The lines in the first `size` bytes of a file, the last one with or without its end. Raises OSError."""
    found = 0
    offset = 0
    last = b"\n"
    while offset < size:
        content = os.pread(descriptor, min(1 << 20, size - offset), offset)
        if not content:
            break
        found += content.count(b"\n")
        last = content[-1:]
        offset += len(content)
    return found + (last != b"\n")


def _clean(piece: bytes) -> str:
    """The text of a line, with no other escapes than colours."""
    said = piece.decode("utf-8", "backslashreplace")
    if "\x1b" in said or "\x9b" in said:
        said = ESCAPES.sub(lambda match: "" if colours.plain(match[0]) else match[0], said)
    if "\r" in said:
        said = next((part for part in reversed(said.split("\r")) if colours.plain(part).strip()), "")
    return said


def _cut(said: str) -> str:
    return said if len(said) <= WIDEST else f"{said[:WIDEST]}… ({len(said):,} characters)"


def lines(first: int, pieces: Sequence[bytes]) -> list[Line]:
    """The lines of a log that these pieces are, the first of which has the number `first`."""
    found: list[Line] = []
    phase = ""
    for number, piece in enumerate(pieces, first):
        said = _clean(piece)
        match = _TIME.match(said)
        time, coloured = (match[1], said[match.end() :]) if match else ("", said)
        whole = colours.plain(coloured)
        rest = _cut(whole)
        kind = ""
        told = progress.parse(rest)
        error = errors.parse(rest)
        if told is not None:
            kind = "step" if told.phase == phase else "phase"
            phase = told.phase
            steps = f" {told.done}/{told.total}" if told.total else ""
            rest = f"{told.phase}{steps} {told.detail}".rstrip()
        elif error is not None:
            kind = "bad"
            rest = f"error: {error}"
        elif _BAD.search(rest):
            kind = "bad"
        elif _DOUBTFUL.search(rest):
            kind = "doubtful"
        spans = () if told or error or whole == coloured or not _colourful(whole) else colours.spans(coloured)
        found.append(Line(number, rest, time, kind, spans=spans))
    return found


def _colourful(said: str) -> bool:
    """Whether colours may part it: not where it is cut, or where something in it is masked as a whole."""
    return len(said) <= WIDEST and ("://" not in said or text.visible(said) == said)


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _explains(texts: Sequence[str], error: str) -> int | None:
    """Which line explains `error`: the one that says the same, else the complaint that shares most words with it."""
    wanted = _words(error)
    best, at = 0, None
    # The worker's own last word repeats the error; what it was made of says more.
    repeated = f"ERROR: {error}"
    for index, line in enumerate(texts):
        if line == repeated:
            continue
        for said in {_words(line), _words(_HEAD.sub("", line))}:
            if len(said) >= 12 and wanted and (said in wanted or wanted in said):
                score = 2 * min(len(said), len(wanted)) + line.startswith("error: ")
                if score >= best:
                    best, at = score, index
    if at is not None:
        return at
    terms = set(re.findall(r"[\w.+-]{3,}", wanted))
    for index, line in enumerate(texts):
        if _BAD.search(line) and line != repeated:
            score = 1 + len(terms & set(re.findall(r"[\w.+-]{3,}", _words(line))))
            if score >= best:
                best, at = score, index
    return at
