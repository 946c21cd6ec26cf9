# SPDX-License-Identifier: GPL-2.0-or-later
"""Log lines of a participant: each says which process and which image it is about, where there is one."""

from __future__ import annotations

import logging
import threading
from typing import Any

from RuoteAMQP.workitem import Workitem

__all__ = ["about", "image_id_of", "set_up", "summary"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s"
_current = threading.local()


def about(workitem: Workitem | None) -> None:
    """From now on what this thread logs is about that workitem."""
    _current.workitem = workitem


class _About(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        workitem: Workitem | None = getattr(_current, "workitem", None)
        found: list[str] = []
        if workitem is not None:
            # Looked up for each line: the handler may have given the image its id in the meantime.
            found = [_plain(value) for value in (workitem.wfid, image_id_of(workitem)) if value]
        record.about = f"[{' '.join(found)}] " if found else ""
        # What a message quotes must not make lines of its own.
        record.msg, record.args = _plain(record.getMessage(), None), ()
        return True


def image_id_of(workitem: Workitem) -> str:
    """The image that a workitem is about; "" where it says none."""
    value = workitem.lookup("image.image_id") or workitem.lookup("image_id")
    return value if isinstance(value, str) else ""


def _plain(text: str, longest: int | None = 120) -> str:
    """Text of a message, as it may stand in a log line."""
    return "".join(char if char.isprintable() else "?" for char in text[:longest])


def set_up(level: str) -> None:
    """Send everything to standard error. May be called again with another level."""
    root = logging.getLogger()
    if not any(isinstance(filter_, _About) for handler in root.handlers for filter_ in handler.filters):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        handler.addFilter(_About())
        root.addHandler(handler)
    root.setLevel(level)
    # pika tells every failed attempt in ten lines; the participant tells it in one.
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)


def summary(workitem: Workitem) -> str:
    """A workitem in one line."""
    parts: list[Any] = [f"workitem {workitem.sid} for {workitem.participant_name}"]
    for name in ("ev.id", "project", "image.name"):
        value = workitem.lookup(name)
        if isinstance(value, str | int):
            parts.append(f"{name}={value!r}")
    parts += [f"{key}={value!r}" for key, value in workitem.params.as_dict().items() if key != "ref"]
    return " ".join(parts)
