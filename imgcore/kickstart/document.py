# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a kickstart and what each of them is, before anybody asks what it says.

The first pass over the text, for reading and for changing it: it loses nothing (a line keeps its line end)
and takes a `%` line inside a here-document of a script for the script's own. Lines end at `\\n`, as editors
count them. A section ends with `%end`; in a file that has no `%end` at all (before Fedora 8) it ends where
the next one begins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from imgcore.kickstart.mistakes import Place

__all__ = ["INCLUDES", "MIC_MARK", "SCRIPTS", "SECTIONS", "Line", "Role", "comment_of", "lines_of", "roles"]

SCRIPTS = frozenset({"%pre", "%pre-install", "%post", "%pack", "%traceback", "%onerror"})
SECTIONS = SCRIPTS | {"%packages", "%prepackages", "%attachment", "%addon", "%anaconda", "%certificate"}
#: What mic's options stand between, in a comment of one of the first lines.
MIC_MARK = "-*-mic2-options-*-"
INCLUDES = frozenset({"%include", "%ksappend"})

_HERE_DOCUMENT = re.compile(r"""(?<!<)<<(-?)[ \t]*(?:"([^"\s]{1,64})"|'([^'\s]{1,64})'|\\?([A-Za-z_]\w{0,63}))""")
#: What a line of shell has on the way to one: what is escaped, what is quoted, a comment.
_SHELL = re.compile(
    rf"""\\.|(?P<single>'[^']*+')|(?P<double>"(?:[^"\\]|\\.)*+")|(?P<comment>(?<!\S)\#.*)|<<<|(?P<here>{_HERE_DOCUMENT.pattern})"""
)
_DELIMITER = re.compile(r"\t*\S{1,64}")


class Line(NamedTuple):
    """A line without its line end, the end, and where it stands."""

    text: str
    end: str
    place: Place


class Role(NamedTuple):
    """What a line is: `blank`, `command`, `header`, `body`, `end` or `include`; and the section it is in."""

    kind: str
    section: str = ""


def lines_of(text: str, file: str, outer: int = 0) -> list[Line]:
    """The lines of `text`; `outer` is the line of the main kickstart that includes them (0: it is the main one)."""
    lines = []
    for number, part in enumerate(text.split("\n"), 1):
        body, end = (part[:-1], "\r\n") if part.endswith("\r") else (part, "\n")
        lines.append(Line(body, end, Place(file, number, outer or number)))
    last = lines.pop()
    if last.text or last.end == "\r\n":
        # The text does not end with a line end; a lone carriage return is one of the text.
        lines.append(last._replace(text=last.text + ("\r" if last.end == "\r\n" else ""), end=""))
    return lines


def comment_of(text: str) -> str:
    """The comment behind a command; one in quotes is none."""
    quote = ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#":
            return text[position:].rstrip()
    return ""


def roles(lines: Sequence[Line], section: str = "") -> Iterator[Role]:
    """What each line is. `section` is the one that is open before the first line (for an included file)."""
    literal_until = -1
    delimiters: _Delimiters | None = None
    for index, line in enumerate(lines):
        if index <= literal_until:
            yield Role("body", section)
            continue
        stripped = line.text.strip()
        word = stripped.split(None, 1)[0] if stripped.startswith("%") else ""
        if word in INCLUDES:
            yield Role("include", section)
        elif word == "%end":
            yield Role("end", section)
            section = ""
        elif word in SECTIONS or (word and not section):
            section = word
            yield Role("header", section)
        elif section:
            if section in SCRIPTS and "<<" in line.text and not stripped.startswith("#"):
                delimiters = delimiters or _Delimiters(lines)
                literal_until = _here_documents_end(lines, index, delimiters)
            yield Role("body", section)
        else:
            yield Role("command" if stripped and not stripped.startswith("#") else "blank")


class _Delimiters:
    """Where the lines are that could end a here-document, or show that none was meant."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._untabbed: dict[str, list[int]] = defaultdict(list)
        self._indented: dict[str, list[int]] = defaultdict(list)
        self._openers: dict[str, list[int]] = defaultdict(list)
        self._borders: list[int] = []
        headers = []
        for index, line in enumerate(lines):
            bare = line.text.strip()
            if _DELIMITER.fullmatch(line.text):
                self._exact[line.text].append(index)
                self._untabbed[line.text.lstrip("\t")].append(index)
            elif _DELIMITER.fullmatch(bare):
                self._indented[bare].append(index)
            if bare.startswith("%"):
                word = bare.split(None, 1)[0]
                if word == "%end":
                    self._borders.append(index)
                elif word in SECTIONS:
                    headers.append(index)
            if "<<" in line.text:
                for _, word in _opened(line.text):
                    self._openers[word].append(index)
        self._borders = self._borders or headers

    def end(self, word: str, start: int, untabbed: bool) -> int | None:
        """The line behind `start` that ends a here-document `word`; None where none was meant to begin.

        One that takes in the end of its section is doubtful: it may be a kickstart that the script writes, or a
        line that only looks like one, or whose end is indented by mistake.
        """
        found = _first((self._untabbed if untabbed else self._exact).get(word), start)
        if found is None:
            return None
        border = _first(self._borders, start)
        if border is None or border > found:
            return found
        indented = _first(self._indented.get(word), start)
        if indented is not None and indented < border:
            return indented
        again = _first(self._openers.get(word), border)
        return found if again is None or again > found else None


def _first(places: Sequence[int] | None, after: int) -> int | None:
    """The first of sorted `places` that is greater than `after`."""
    places = places or ()
    position = bisect_right(places, after)
    return places[position] if position < len(places) else None


def _opened(text: str) -> Iterator[tuple[bool, str]]:
    """The here-documents that a line of shell begins: whether tabs may stand before their end, and the word."""
    for found in _SHELL.finditer(text):
        if found["here"]:
            yield bool(found[5]), found[6] or found[7] or found[8]
        elif found["double"] and ("$(" in found[0] or "`" in found[0]):
            for inner in _HERE_DOCUMENT.finditer(found[0]):
                yield bool(inner[1]), inner[2] or inner[3] or inner[4]


def _here_documents_end(lines: Sequence[Line], start: int, delimiters: _Delimiters) -> int:
    """The last line of the here-documents that begin in line `start`; `start` where there is none."""
    end = start
    for untabbed, word in _opened(lines[start].text):
        end = delimiters.end(word, end, untabbed) or end
    return end
