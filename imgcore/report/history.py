# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's history: the lines of its events.jsonl, newest last, damaged ones counted and not shown.

Only the end of a long history is read; the record's own last event is shown also where a crash kept it out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Event", "History", "read"]

SHOWN = 200
WINDOW = 256 * 1024


@dataclass(frozen=True)
class Event:
    """One transition."""

    time: str
    old: str
    new: str
    reason: str
    who: str
    host: str


@dataclass(frozen=True)
class History:
    """The last transitions, and how many lines were no event."""

    events: tuple[Event, ...] = ()
    damaged: int = 0
    cut: bool = False


def read(path: Path, last: Mapping[str, object] | None = None) -> History:
    """The history at `path`, with the event `last` if it is not there yet; an empty one where there is none."""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            start = max(0, length - WINDOW)
            lines = os.pread(file.fileno(), WINDOW, start).split(b"\n")
    except OSError:
        start, lines = 0, []
    if start:
        lines.pop(0)
    events, damaged, newest = [], 0, 0
    for line in lines:
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict):
            events.append(_event(told))
            newest = max(newest, _number(told.get("seq")))
        else:
            damaged += 1
    if last and _number(last.get("seq")) > newest:
        events.append(_event(last))
    return History(tuple(events[-SHOWN:]), damaged, bool(start) or len(events) > SHOWN)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _event(told: Mapping[str, object]) -> Event:
    def text(key: str) -> str:
        value = told.get(key)
        return "" if value is None else str(value)

    host = text("host")
    if host and told.get("pid"):
        host = f"{host}, process {text('pid')}"
    return Event(text("time"), text("from"), text("to"), text("reason"), text("who"), host)
