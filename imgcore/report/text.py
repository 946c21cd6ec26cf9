# SPDX-License-Identifier: GPL-2.0-or-later
"""Text from outside made fit to be shown: visible, bounded, without secrets; numbers and times for people.

What comes from a message, a kickstart or a log may hold control characters, text that reorders what stands
beside it, half a character, or a password. `visible` is applied to every string of every page (see
imgcore.report.render); escaping for HTML is the template engine's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from imgcore.amounts import duration, moment, number, size
from imgcore.credentials import masked

__all__ = [
    "MASK", "Stamp", "bytes_exact", "count", "duration", "later", "link", "moment", "number", "rough", "rough_size",
    "size", "stamp", "visible",
]  # fmt: skip

#: What stands for a secret.
MASK = "•••"
LONGEST = 8000
_LINKED = {"http", "https", "ftp", "file"}
# Characters that have no width, and those that reorder the text around them (Unicode TR 36, 3.2):
# a reader must see that they are there. The joiners U+200C and U+200D belong to ordinary words.
_HIDDEN = re.compile("[\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]")
# Not the pictures of U+2400: many fonts have none.
_CONTROLS: dict[int, str] = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0)) if code != 9} | {
    10: "\\n",
    13: "\\r",
}
_UNFIT = (*map(chr, range(33)), *map(chr, range(0x7F, 0xA0)))
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Stamp:
    """A time: `iso` for machines (empty where the text is none), `shown` for people."""

    iso: str
    shown: str


def visible(text: str) -> str:
    """`text` with nothing in it that hides, reorders or breaks; passwords in URLs masked; bounded."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text):,} characters)"
    # Nearly every text is plain, and a page has thousands of them.
    if not (text.isascii() and text.isprintable()):
        text = _HALF.sub("\ufffd", text).translate(_CONTROLS)
        text = _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    return masked(text, MASK)


def link(url: str) -> str:
    """`url` where it may become a link, else the empty string: http, https, ftp and file, without credentials."""
    if not url or _HIDDEN.search(url) or _HALF.search(url) or "\\" in url or any(each in url for each in _UNFIT):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme.lower() not in _LINKED or not url.lower().startswith(f"{parts.scheme.lower()}://"):
        return ""
    if "@" in parts.netloc or (parts.scheme.lower() != "file" and not parts.netloc):
        return ""
    return url


def count(value: object) -> str:
    """A whole number with its thousands set apart."""
    return f"{int(number(value)):,}"


def bytes_exact(value: object) -> str:
    """Bytes to the last one: `1,288,490,188 bytes`."""
    return f"{count(value)} byte{'' if number(value) == 1 else 's'}"


def rough(value: object) -> str:
    """Seconds as one says them of what is to come: `20 s`, `3 min`, `2 h`."""
    seconds = number(value)
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h" if seconds < 1e9 else "over 30 years"


def rough_size(value: object) -> str:
    """Bytes to two digits: `1.2 GiB`, `45 GiB`, `120 GiB`."""
    amount, unit = size(value).split(" ")
    whole = float(amount)
    if whole < 10:
        return f"{whole:g} {unit}"
    digits = 10 ** (len(str(int(whole))) - 2)
    return f"{int(whole / digits) * digits} {unit}"


def later(start: datetime, seconds: float) -> datetime:
    """`seconds` after `start`, or as late as can be said."""
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def stamp(value: str | datetime) -> Stamp:
    """A time as UTC to the second; what is no time is shown as it is."""
    found = moment(value) if isinstance(value, str) else value.astimezone(UTC)
    if found is None:
        return Stamp("", str(value))
    iso = found.strftime("%Y-%m-%dT%H:%M:%SZ")
    # strftime does not fill the year on every C library.
    iso = iso.rjust(20, "0")
    return Stamp(iso, iso.replace("T", " "))
