# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a text occurs in a job: in its record, the kickstart that it was requested with, its packages, its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgcore.job import Job, to_json
from imgcore.jobs import logfile, manifest
from imgcore.spool import Spool

__all__ = ["PLACES", "Hit", "hits"]

#: Where can be looked, the cheapest first.
PLACES = ("record", "kickstart", "packages", "log")
#: In one place of one job.
_MOST_HITS = 3
_SHOWN = 200


@dataclass(frozen=True)
class Hit:
    """A line with the text: in which job and place, and its number (0: it has none)."""

    image_id: str
    place: str
    line: int
    text: str


def hits(spool: Spool, job: Job, text: str, places: tuple[str, ...]) -> Iterator[Hit]:
    """The first lines in each place that have the text, in upper or lower case."""
    for place in places:
        found = 0
        # In the record a quote has a backslash before it.
        forms = {text.casefold(), json.dumps(text, ensure_ascii=False)[1:-1].casefold() if place == "record" else ""}
        for number, line in _lines(spool, job, place):
            folded = line.casefold()
            sought = next((each for each in forms if each and each in folded), None)
            if sought is not None:
                yield Hit(job.image_id, place, number, _around(line, sought))
                found += 1
                if found == _MOST_HITS:
                    break


def _lines(spool: Spool, job: Job, place: str) -> Iterator[tuple[int, str]]:
    if place == "record":
        return ((0, line.strip().rstrip(",")) for line in to_json(job).decode().splitlines())
    if place == "packages":
        return _packages(job)
    if place == "kickstart":
        return _file(spool.directory(job.image_id) / "kickstart.ks")
    return _file(logfile.path_of(spool, job))


def _file(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from enumerate(file, 1)
    except OSError:
        return  # there is none, or none to read: nothing is found in it


def _packages(job: Job) -> Iterator[tuple[int, str]]:
    path = manifest.path_of(job.directory, job.name)
    for each in manifest.read(path).packages if path else ():
        yield 0, f"{each.name}-{each.version}.{each.arch}"


def _around(line: str, sought: str) -> str:
    """The line, or what of it is around the text."""
    text = " ".join(line.split())
    at = max(0, text.casefold().find(sought) - _SHOWN // 4)
    return ("…" if at else "") + text[at : at + _SHOWN] + ("…" if len(text) > at + _SHOWN else "")
