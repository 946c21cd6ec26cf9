# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's log: each line with its time, on the disk as soon as it is said, bounded, without credentials.

Terminal escapes and the like are kept as they came: who shows a log makes it safe (imgcore.buildlog.printable).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from imgcore.atomic import failed
from imgcore.credentials import masked

__all__ = ["ESCAPES", "BuildLog", "printable", "without_credentials"]

#: As many of the last lines as a tool's proof and its failure are looked for in.
TAIL_LINES = 5000
#: ECMA-48: control sequences, strings (OSC, DCS, …) with their terminator, and two-character escapes.
ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
_UNPRINTABLE = re.compile(rf"{ESCAPES.pattern}|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class BuildLog:
    """The log file `path`, of at most `limit` bytes (0: no limit). Raises SpoolError where it cannot be written."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit
        self._size = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise failed(path, error) from error

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def tail(self) -> Sequence[str]:
        """The last lines, without their times."""
        return tuple(self._tail)

    def add(self, line: str) -> str:
        """Write one line; returns it as it was written."""
        safe = without_credentials(line)
        self._tail.append(safe)
        if self._limit and self._size > self._limit:
            return safe
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        content = f"{now} {safe}\n".encode("utf-8", "replace")
        self._size += len(content)
        if self._limit and self._size > self._limit:
            content = f"{now} [the log is cut here: it reached its limit of {self._limit} bytes]\n".encode()
        try:
            self._file.write(content)
        except OSError as error:
            raise failed(self.path, error) from error
        return safe


def without_credentials(line: str) -> str:
    """The line with what its URLs have before their hosts masked."""
    return masked(line)


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor, change its colours or turn its letters round."""
    return _UNPRINTABLE.sub("", text)
