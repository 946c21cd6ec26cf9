# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and times as people read them: bytes, durations, moments. A leaf: standard library only."""

from __future__ import annotations

import math
from datetime import UTC, datetime

__all__ = ["UNITS", "duration", "moment", "number", "size"]

#: Seconds of the units in which people give durations and ages.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def number(value: object) -> float:
    """A finite number that is not negative, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        found = float(value)
    except OverflowError:
        return 0.0
    return found if math.isfinite(found) and found >= 0 else 0.0


def size(value: object) -> str:
    """Bytes in the unit that suits: `1.2 GiB`."""
    amount = number(value)
    power = 0
    while amount >= 1023.95 and power < len(_BYTE_UNITS) - 1:
        amount /= 1024
        power += 1
    return f"{int(amount)} B" if power == 0 else f"{amount:.1f} {_BYTE_UNITS[power]}"


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
