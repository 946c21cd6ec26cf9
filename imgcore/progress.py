# SPDX-License-Identifier: GPL-2.0-or-later
"""How work says how far it is: an observer that is handed in.

The terminal's bar, the job record, the log and the page are observers; the work does not know which.
Inside the sandbox the only way out is the log, so a creator tells its progress as a line of a form that
`render` makes and `parse` reads. A leaf: standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Observer", "Progress", "Silent", "parse", "render"]

#: Bounded, as a kickstart's script may print such a line, too.
_LINE = re.compile(r"^\[imager ([a-z-]{1,32}) ([0-9]{1,9})/([0-9]{1,9})\] ?(.*)$")


@dataclass(frozen=True)
class Progress:
    """Where a build is: the phase's name, how many of its steps are done, and what is being worked on."""

    phase: str
    done: int = 0
    total: int = 0
    detail: str = ""

    @property
    def fraction(self) -> float:
        """Between 0 and 1 within the phase; 0 where the total is not known."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


class Observer(Protocol):
    """What wants to hear of a running build. Called from one thread."""

    def progress(self, progress: Progress) -> None:
        """A phase began or moved on."""

    def log(self, line: str) -> None:
        """One line of the tool's output, without its newline."""


class Silent:
    """An observer that does nothing."""

    def progress(self, progress: Progress) -> None:
        """Ignore it."""

    def log(self, line: str) -> None:
        """Ignore it."""


def render(progress: Progress) -> str:
    """The log line for `progress`."""
    detail = " ".join(progress.detail.split())
    return f"[imager {progress.phase} {progress.done}/{progress.total}] {detail}".rstrip()


def parse(line: str) -> Progress | None:
    """The progress that `line` tells, or None for any other line."""
    match = _LINE.match(line)
    if match is None:
        return None
    return Progress(match[1], int(match[2]), int(match[3]), match[4])
