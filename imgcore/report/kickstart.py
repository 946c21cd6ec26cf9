# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart as numbered lines for a page, with its passwords masked and its parts told apart.

Pages are often readable by more people than the spool is. What is masked: rootpw's and --password's values,
proxy and other passwords in options (credentials in URLs are masked wherever they stand, see text.visible).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from imgcore.report.text import MASK
from imgcore.spool import Spool

__all__ = ["KickstartLine", "Kickstart", "listing", "mask", "read", "requested"]

LARGEST = 4 * 2**20
SHOWN = 2000
WIDEST = 1000
_OPTION = re.compile(
    # From where a word begins, once: a line of megabytes costs no more than its length.
    r"(?<![\w-])((?=[\w-]*?--)[\w-]*(?:passw(?:or)?d|passphrase|secret)(?:=|\s+))(\"[^\"]*\"|'[^']*'|\S+)",
    re.IGNORECASE,
)
_ROOTPW = re.compile(r"^(\s*rootpw\b)(.*)$", re.IGNORECASE)
_FLAG = re.compile(r"--[\w-]+$")


@dataclass(frozen=True)
class KickstartLine:
    """One line; `kind` is empty, `comment`, `section` or `include`."""

    number: int
    text: str
    kind: str = ""
    #: The failure names this line.
    blamed: bool = False


@dataclass(frozen=True)
class Kickstart:
    """What of a kickstart is shown."""

    lines: tuple[KickstartLine, ...]
    total: int
    masked: bool
    #: Its lines as they are, secrets too: for comparing only.
    raw: tuple[str, ...] = field(default=(), repr=False)
    #: It is larger than what is read of it.
    cut: bool = False

    @property
    def excerpt(self) -> tuple[KickstartLine, ...]:
        """The line that a failure names, with those around it; empty without one."""
        at = next((index for index, line in enumerate(self.lines) if line.blamed), None)
        return () if at is None else self.lines[max(0, at - 1) : at + 2]


def requested(spool: Spool, image_id: str, blamed: int = 0) -> Kickstart | None:
    """The kickstart of a job as it was requested; None where it is gone."""
    return read(spool.directory(image_id) / "kickstart.ks", blamed)


def read(path: Path, blamed: int = 0) -> Kickstart | None:
    """The kickstart at `path`; None where there is none that can be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return listing(file.read(LARGEST + 1), blamed)
    except (OSError, ValueError):
        return None


def listing(content: bytes, blamed: int = 0) -> Kickstart:
    """The first lines of the kickstart; `blamed` is the number of the one that a failure names."""
    raw = content[:LARGEST].decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
    if raw and not raw[-1]:
        raw.pop()
    lines = []
    masked = False
    for number, text in enumerate(raw[:SHOWN], 1):
        shown = mask(text[:WIDEST])
        masked |= shown != text[:WIDEST]
        if len(text) > WIDEST:
            shown += f"… ({len(text):,} characters)"
        lines.append(KickstartLine(number, shown, _kind(text), number == blamed))
    return Kickstart(tuple(lines), len(raw), masked, tuple(raw), len(content) > LARGEST)


def _kind(text: str) -> str:
    start = text.lstrip()[:9].casefold()
    if start.startswith("#"):
        return "comment"
    if start.startswith("%include"):
        return "include"
    return "section" if start.startswith("%") else ""


def mask(text: str) -> str:
    """A line with its passwords masked."""
    match = _ROOTPW.match(text)
    if match is not None:
        words = [word if _FLAG.match(word) else MASK for word in match[2].split()]
        return f"{match[1]} {' '.join(words)}".rstrip()
    return _OPTION.sub(rf"\1{MASK}", text)
