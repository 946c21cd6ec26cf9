# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a kickstart, and where: gathered, so that a person hears of everything at once.

A mistake has the file and line it is in and, where one is near, the word that was meant. `Notes` gathers
mistakes, warnings and notes up to a bound (junk has a mistake in every line) and turns them into one InputError.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imgcore.credentials import masked
from imgcore.errors import InputError

__all__ = ["Grade", "KickstartError", "Mistake", "Notes", "Place", "TooMany", "column", "nearest", "shown"]

#: More of a grade than this are not told apart: the file is not a kickstart.
MOST = 50


class Grade(enum.IntEnum):
    """How bad it is: it cannot be built; something is not as it was asked for; worth knowing."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Place:
    """A line of a file. `outer` is the line of the main kickstart that it came in by (itself, or its %include)."""

    file: str
    line: int
    outer: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, or worth knowing, and what to do about it (empty: the sentence says it)."""

    place: Place
    what: str
    remedy: str = ""
    grade: Grade = Grade.ERROR
    #: A slug of what kind of thing it is, by which tools group and filter.
    rule: str = "syntax"
    #: The word of the line that it is about, where there is one.
    word: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class KickstartError(InputError):
    """A kickstart that cannot be used; `mistakes` has all that was found, and so have the exception's notes."""

    def __init__(self, mistakes: Iterable[Mistake], bounded: bool = False) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.place.outer))
        first, others = self.mistakes[0], self.mistakes[1:]
        super().__init__(f"{first}{_rest(first, others, bounded)}", first.remedy or "correct the kickstart")
        #: There are more of them than are told.
        self.bounded = bounded
        #: The text of the lines that they are about, where it is known; it may show secrets.
        self.lines: Mapping[tuple[str, int], str] = {}
        for other in others:
            self.add_note(f"{other} ({other.remedy})" if other.remedy else str(other))


class TooMany(Exception):
    """Raised by `Notes` when it has heard enough; whoever made the notes turns it into the error."""


class Notes:
    """Gathers mistakes and warnings. `rule` is the kind of those that say no other."""

    def __init__(self, rule: str = "syntax") -> None:
        self.mistakes: list[Mistake] = []
        self.warned: list[Mistake] = []
        self.rule = rule
        #: Grades of which there was more than is told.
        self.cut: set[Grade] = set()
        self._counted: Counter[Grade] = Counter()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings as sentences."""
        told = [str(each) for each in self.warned if each.grade is Grade.WARNING]
        return (*told, "there are more warnings; only so many are told") if Grade.WARNING in self.cut else tuple(told)

    def mistake(self, place: Place, what: str, remedy: str = "", *, word: str = "", rule: str = "") -> None:
        """Something that makes the kickstart unusable. Raises TooMany when the bound is reached."""
        self.mistakes.append(Mistake(place, what, remedy, Grade.ERROR, rule or self.rule, word))
        if len(self.mistakes) >= MOST:
            self.cut.add(Grade.ERROR)
            raise TooMany

    def warning(
        self,
        place: Place,
        what: str,
        remedy: str = "",
        *,
        word: str = "",
        rule: str = "",
        grade: Grade = Grade.WARNING,
    ) -> None:
        """Something that is not as it was asked for, but does no harm."""
        self._counted[grade] += 1
        if self._counted[grade] <= MOST:
            self.warned.append(Mistake(place, what, remedy, grade, rule or self.rule, word))
        else:
            self.cut.add(grade)

    def check(self) -> None:
        """Raise KickstartError if there was a mistake."""
        if self.mistakes:
            raise KickstartError(self.mistakes, Grade.ERROR in self.cut)


def _rest(first: Mistake, others: tuple[Mistake, ...], bounded: bool) -> str:
    if not others:
        return ""
    lines = sorted({each.place.line for each in others if each.place.file == first.place.file})
    text = f"; {'at least ' if bounded else ''}{len(others)} more mistake{'s' if len(others) > 1 else ''}"
    if lines and len(lines) <= 8:
        text += f" (line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))})"
    return f"{text}, `img ks check FILE` tells them all"


def column(text: str, word: str) -> int:
    """The column (from 1) that a word has in a line; 0 where it is not in it."""
    if not word:
        return 0
    whole = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    return (whole.start() if whole else text.find(word)) + 1


def shown(text: str, limit: int = 80) -> str:
    """`text` fit for one line of a message: printable, without credentials, and not longer than `limit`."""
    cut = masked(text)[: limit + 1]
    clean = "".join(each if each.isprintable() else "?" for each in cut)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word[:64], list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
