# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with YAML files, and where: gathered, so that a person hears of everything at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from imgcore.errors import InputError
from imgcore.kickstart.mistakes import nearest

__all__ = ["KickstarterError", "Mistake", "Notes", "Spot", "near"]

#: More mistakes than this are not told apart: the file is something else.
MOST = 50


@dataclass(frozen=True, order=True)
class Spot:
    """A character of a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong (`error`), or that will not be as it was asked for (`warning`)."""

    spot: Spot
    what: str
    remedy: str = ""
    #: The key it is about; empty where it is not about one.
    key: str = ""
    grade: str = "error"

    def __str__(self) -> str:
        return f"{self.spot}: {self.grade}: {self.about}" + (f" ({self.remedy})" if self.remedy else "")

    @property
    def about(self) -> str:
        """What is wrong, with the key that it is about."""
        return f"{self.key}: {self.what}" if self.key else self.what


class KickstarterError(InputError):
    """YAML that no kickstart can be made from; `mistakes` has all that was found, in the files' order."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda each: each.spot))
        first, more = self.mistakes[0], len(self.mistakes) - 1
        text = str(first).removesuffix(f" ({first.remedy})")
        super().__init__(
            text.replace(": error: ", ": ", 1) + (f"; {more} more mistake{'s' * (more > 1)}" if more else ""),
            first.remedy,
        )
        for other in self.mistakes[1:]:
            self.add_note(str(other))


class Notes:
    """Gathers mistakes, each once: what is wrong with a section is wrong with every image that has it."""

    def __init__(self, lenient: bool = False) -> None:
        self._lenient = lenient
        self._found: dict[Mistake, None] = {}

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The errors."""
        return tuple(each for each in self._found if each.grade == "error")

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """The warnings."""
        return tuple(each for each in self._found if each.grade == "warning")

    def mistake(self, spot: Spot, what: str, remedy: str = "", key: str = "") -> None:
        """Something that no kickstart can be made from. Raises KickstarterError when there is too much of it."""
        self._found[Mistake(spot, what, remedy, key)] = None
        if len(self._found) >= MOST and len(self.mistakes) >= MOST:
            self.check()

    def missing(self, spot: Spot, what: str, remedy: str = "", key: str = "") -> None:
        """Something that is named and not there: an error, or when lenient a warning."""
        if self._lenient:
            self.warning(spot, f"{what}; it is ignored", remedy, key)
        else:
            self.mistake(spot, what, remedy, key)

    def warning(self, spot: Spot, what: str, remedy: str = "", key: str = "") -> None:
        """Something that is not as it was asked for."""
        if len(self._found) < 2 * MOST:
            self._found[Mistake(spot, what, remedy, key, "warning")] = None

    def check(self) -> None:
        """Raise KickstarterError if there was a mistake."""
        if self.mistakes:
            raise KickstarterError(self.mistakes)


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the known word that is nearest, or nothing; only some hundreds are looked at."""
    return nearest(word, islice(known, 500))
