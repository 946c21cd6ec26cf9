"""The end of a build log as numbered lines, and the line in it that explains a failure.

The cost is bounded whatever the log's size: only its last half MiB is looked at, and its lines are counted only
up to 64 MiB; beyond that lines are numbered from the end. Terminal escapes go, a progress line that redraws
itself is shown as it was left, long lines are cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgcore import errors, progress

__all__ = ["Line", "Tail", "read"]

SHOWN = 300
WINDOW = 512 * 1024
COUNTED = 64 * 2**20
WIDEST = 1000
_CONTEXT = 3

# ECMA-48: control sequences, strings (OSC, DCS, …) with their terminator, and two-character escapes.
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
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
            total = _count(file.fileno(), size) if size <= COUNTED else None
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
    texts = [_clean(piece) for piece in pieces]
    # The search sees a little more than what is shown; a reader's question is answered near the end.
    looked = max(0, len(texts) - 10 * shown)
    lines = _classify(first + looked, texts[looked:])
    excerpt: tuple[Line, ...] = ()
    if failed:
        at = None if cause in _FROM_OUTSIDE else _explains([line.text for line in lines], error)
        if at is not None:
            lines[at] = replace(lines[at], cause=True, kind="bad")
            excerpt = tuple(lines[max(0, at - _CONTEXT) : at + 2])
        else:
            excerpt = tuple(lines[-2 * _CONTEXT :])
    return Tail(tuple(lines[-shown:]), size, total, excerpt)


def _count(descriptor: int, size: int) -> int:
    lines = 0
    offset = 0
    last = b"\n"
    while offset < size:
        content = os.pread(descriptor, min(1 << 20, size - offset), offset)
        if not content:
            break
        lines += content.count(b"\n")
        last = content[-1:]
        offset += len(content)
    return lines + (last != b"\n")


def _clean(piece: bytes) -> str:
    text = _ESCAPES.sub("", piece.decode("utf-8", "backslashreplace"))
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}… ({len(text):,} characters)"


def _classify(first: int, texts: Sequence[str]) -> list[Line]:
    lines: list[Line] = []
    phase = ""
    for number, text in enumerate(texts, first):
        match = _TIME.match(text)
        time, rest = (match[1], text[match.end() :]) if match else ("", text)
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
        lines.append(Line(number, rest, time, kind))
    return lines


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _explains(texts: Sequence[str], error: str) -> int | None:
    """Which line explains `error`: the one that says the same, else the complaint that shares most words with it."""
    wanted = _words(error)
    best, at = 0, None
    # The worker's own last word repeats the error; what it was made of says more.
    repeated = f"ERROR: {error}"
    for index, text in enumerate(texts):
        if text == repeated:
            continue
        for said in {_words(text), _words(_HEAD.sub("", text))}:
            if len(said) >= 12 and wanted and (said in wanted or wanted in said):
                score = 2 * min(len(said), len(wanted)) + text.startswith("error: ")
                if score >= best:
                    best, at = score, index
    if at is not None:
        return at
    terms = set(re.findall(r"[\w.+-]{3,}", wanted))
    for index, text in enumerate(texts):
        if _BAD.search(text) and text != repeated:
            score = 1 + len(terms & set(re.findall(r"[\w.+-]{3,}", _words(text))))
            if score >= best:
                best, at = score, index
    return at
