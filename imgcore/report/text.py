"""Text from outside made fit to be shown: visible, bounded, without secrets; numbers and times for people.

What comes from a message, a kickstart or a log may hold control characters, text that reorders what stands
beside it, half a character, or a password. `visible` is applied to every string of every page (see
imgcore.report.render); escaping for HTML is the template engine's. A leaf: standard library only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

__all__ = ["Stamp", "bytes_exact", "count", "duration", "link", "moment", "number", "size", "stamp", "visible"]

LONGEST = 8000
_LINKED = {"http", "https", "ftp", "file"}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_CREDENTIALS = re.compile(r"(\w://[^/\s:@]{0,200}):[^/\s@]{1,200}@")
# Characters that have no width, and those that reorder the text around them (Unicode TR 36, 3.2):
# a reader must see that they are there. The joiners U+200C and U+200D belong to ordinary words.
_HIDDEN = re.compile("[\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
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
    return _CREDENTIALS.sub(r"\1:•••@", text) if "://" in text else text


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


def number(value: object) -> float:
    """A finite number that is not negative, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        found = float(value)
    except OverflowError:
        return 0.0
    return found if math.isfinite(found) and found >= 0 else 0.0


def count(value: object) -> str:
    """A whole number with its thousands set apart."""
    return f"{int(number(value)):,}"


def size(value: object) -> str:
    """Bytes in the unit that suits: `1.2 GiB`."""
    amount = number(value)
    power = 0
    while amount >= 1023.95 and power < len(_UNITS) - 1:
        amount /= 1024
        power += 1
    return f"{int(amount)} B" if power == 0 else f"{amount:.1f} {_UNITS[power]}"


def bytes_exact(value: object) -> str:
    """Bytes to the last one: `1,288,490,188 bytes`."""
    return f"{count(value)} byte{'' if number(value) == 1 else 's'}"


def duration(value: object) -> str:
    """Seconds in the units that suit: `0.42 s`, `12.5 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = number(value)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds >= 1e9:
        return "over 30 years"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = whole // 60
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60:02} h"


def moment(text: str) -> datetime | None:
    """The time that an RFC 3339 text means, or None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def stamp(value: str | datetime) -> Stamp:
    """A time as UTC to the second; what is no time is shown as it is."""
    found = moment(value) if isinstance(value, str) else value.astimezone(UTC)
    if found is None:
        return Stamp("", str(value))
    iso = found.strftime("%Y-%m-%dT%H:%M:%SZ")
    # strftime does not fill the year on every C library.
    iso = iso.rjust(20, "0")
    return Stamp(iso, iso.replace("T", " "))
