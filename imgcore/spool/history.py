# SPDX-License-Identifier: GPL-2.0-or-later
"""events.jsonl: one line a transition (or a note: from a state to the same), only ever appended to.

The record is replaced first and carries its last event, so a crash between record and line loses nothing: the
line is missing at most at the end, or torn, and `heal` puts it there from the record. Callers hold the job's
lock to write. What cannot be read is skipped by `read` and named by `faults`; `rewrite` mends the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from imgcore import atomic
from imgcore.job import Event

__all__ = ["FILE_NAME", "append", "faults", "heal", "read", "render", "rewrite"]

FILE_NAME = "events.jsonl"


def render(event: Event) -> bytes:
    """The line of an event."""
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def append(path: Path, event: Event) -> None:
    """Put the line of `event` at the end."""
    atomic.append(path, render(event))


def read(path: Path, last: Event) -> list[Event]:
    """The events that can be read, oldest first, up to `last` (the record's own) whether it is written or not."""
    events = [event for event in map(_parse, _content(path).splitlines()) if event]
    if last.get("seq", 0) > max((event.get("seq", 0) for event in events), default=0):
        events.append(last)
    return events


def heal(path: Path, last: Event) -> bool:
    """Put the record's event at the end if a crash has kept it from there; whether that was so."""
    content = _content(path)
    whole = content.rfind(b"\n") + 1
    written = next((e for e in map(_parse, reversed(content[:whole].splitlines())) if e), Event())
    lacks = last.get("seq", 0) > written.get("seq", 0)
    if whole == len(content) and not lacks:
        return False
    atomic.append(path, render(last) if lacks else b"", at=whole)
    return True


def faults(path: Path, last: Event) -> list[str]:
    """What is wrong with the history, a phrase each; empty where all is well."""
    content = _content(path)
    lines = content.splitlines()
    found = []
    if content and not content.endswith(b"\n"):
        found.append("its last line is torn")
        lines = lines[:-1]
    events = [_parse(line) for line in lines]
    broken = sum(1 for event in events if event is None)
    if broken:
        found.append(f"{broken} of its lines cannot be read")
    there = {event.get("seq", 0) for event in events if event}
    lacking = [seq for seq in range(1, last.get("seq", 0) + 1) if seq not in there]
    if lacking:
        found.append(f"transition {lacking[0]} of {last.get('seq', 0)} is missing")
    return found


def rewrite(path: Path, last: Event) -> None:
    """Mend what `heal` cannot: keep the old file beside, leave out what cannot be read, mark what is lost."""
    content = _content(path)
    events = {event.get("seq", 0): event for event in map(_parse, content.splitlines()) if event}
    if last:
        events[last.get("seq", 0)] = last
    for seq in range(1, last.get("seq", 0)):
        events.setdefault(seq, cast(Event, {"seq": seq, "reason": "this transition's line was lost"}))
    if content:
        atomic.replace(path.with_name(f"{path.name}.damaged"), content)
    atomic.replace(path, b"".join(render(events[seq]) for seq in sorted(events)))


def _parse(line: bytes) -> Event | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("seq"), int):
        return None
    return cast(Event, told)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise atomic.failed(path, error, "read") from error
