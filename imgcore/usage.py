# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build uses over time, in a bounded number of samples however long it takes. A leaf.

A sample has the time since the start, the processor time until then, and the most memory and disk since the sample
before it: no peak is lost when two become one.
"""

from __future__ import annotations

__all__ = ["MOST", "Usage"]

#: So many samples at most; when there are as many, every two become one and they come half as often.
MOST = 60
_FIRST_SECONDS = 0.4


class Usage:
    """The samples of one build."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, int, int]] = []
        self._seconds = _FIRST_SECONDS
        self._due = 0.0
        self._memory = self._disk = 0

    def add(self, seconds: float, cpu_seconds: float, memory_bytes: int, disk_bytes: int) -> bool:
        """Hear of a moment, `seconds` after the start; whether there is a new sample of it."""
        self._memory, self._disk = max(self._memory, memory_bytes), max(self._disk, disk_bytes)
        if seconds < self._due:
            return False
        self._samples.append((round(seconds, 1), round(cpu_seconds, 2), self._memory, self._disk))
        self._memory = self._disk = 0
        if len(self._samples) == MOST:
            pairs = zip(self._samples[::2], self._samples[1::2], strict=True)
            self._samples = [(*late[:2], max(early[2], late[2]), max(early[3], late[3])) for early, late in pairs]
            self._seconds *= 2
        self._due = seconds + self._seconds
        return True

    def columns(self) -> dict[str, list[float]]:
        """The samples as the record has them, a list a quantity; empty where there are none."""
        names = ("seconds", "cpu_seconds", "memory_bytes", "disk_bytes")
        return dict(zip(names, map(list, zip(*self._samples, strict=True)), strict=True)) if self._samples else {}
