"""What is wrong with a kickstart, and where: gathered, so that a person hears of everything at once.

A mistake has the file and line it is in and, where one is near, the word that was meant. `Notes` gathers
mistakes and warnings up to a bound (junk has a mistake in every line) and turns them into one InputError.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from imgcore.errors import InputError

__all__ = ["KickstartError", "Mistake", "Notes", "Place", "TooMany", "nearest", "shown"]

#: More mistakes than this are not told apart: the file is not a kickstart.
MOST = 50


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
    """One thing that is wrong, and what to do about it (empty: the sentence says it)."""

    place: Place
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class KickstartError(InputError):
    """A kickstart that cannot be used; `mistakes` has all that was found."""

    def __init__(self, mistakes: Iterable[Mistake], bounded: bool = False) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.place.outer))
        first, others = self.mistakes[0], self.mistakes[1:]
        super().__init__(f"{first}{_rest(first, others, bounded)}", first.remedy or "correct the kickstart")


class TooMany(Exception):
    """Raised by `Notes` when it has heard enough; whoever made the notes turns it into the error."""


class Notes:
    """Gathers mistakes and warnings."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.warnings: list[str] = []

    def mistake(self, place: Place, what: str, remedy: str = "") -> None:
        """Something that makes the kickstart unusable. Raises TooMany when the bound is reached."""
        self.mistakes.append(Mistake(place, what, remedy))
        if len(self.mistakes) >= MOST:
            raise TooMany

    def warning(self, place: Place, what: str) -> None:
        """Something that is not as it was asked for, but does no harm."""
        if len(self.warnings) < MOST:
            self.warnings.append(f"{place}: {what}")

    def check(self) -> None:
        """Raise KickstartError if there was a mistake."""
        if self.mistakes:
            raise KickstartError(self.mistakes, len(self.mistakes) >= MOST)


def _rest(first: Mistake, others: tuple[Mistake, ...], bounded: bool) -> str:
    if not others:
        return ""
    lines = sorted({each.place.line for each in others if each.place.file == first.place.file})
    text = f"; {'at least ' if bounded else ''}{len(others)} more mistake{'s' if len(others) > 1 else ''}"
    if lines and len(lines) <= 8:
        text += f" (line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))})"
    return text


def shown(text: str, limit: int = 80) -> str:
    """`text` fit for one line of a message: printable, and not longer than `limit`."""
    cut = text[: limit + 1]
    clean = "".join(each if each.isprintable() else "?" for each in cut)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word[:64], list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
