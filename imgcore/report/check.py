# SPDX-License-Identifier: GPL-2.0-or-later
"""Prove that a site that was kept up to date is the one that would be made anew."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from imgcore.report.files import ours
from imgcore.report.site import write
from imgcore.spool import Spool

__all__ = ["differing"]

#: A spool that is at work can change between the two; what differs each time does so for another reason.
_TRIES = 3


def differing(spool: Spool, target: Path) -> list[str]:
    """The files of the site in `target`, brought up to the spool, that differ from those of a new one."""
    found: set[str] = set()
    for number in range(_TRIES):
        now = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix="imager-report-") as place:
            write(spool, target, now=now)
            write(spool, Path(place), now=now)
            differ = _differ(target, Path(place))
        found = differ if number == 0 else found & differ
        if not found:
            break
    return sorted(found)


def _differ(one: Path, other: Path) -> set[str]:
    found = {name for name in _names(other) if _content(one / name) != _content(other / name)}
    # What is in the old one only is somebody else's, or a page that ought to be gone.
    for name in _names(one):
        if name.endswith((".html", ".json", ".svg")) and not (other / name).exists() and ours(one / name):
            found.add(name)
    return found


def _names(place: Path) -> Iterator[str]:
    # One by one: there can be very many.
    for directory, _, names in os.walk(place):
        for path in (Path(directory, name) for name in names if not name.startswith(".")):
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(place))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
