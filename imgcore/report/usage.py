# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build used over time, as pictures: processors, memory, disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from imgcore.job import Usage
from imgcore.report import charts, text

__all__ = ["drawn"]


def drawn(usage: Usage) -> tuple[charts.Chart, ...]:
    """The pictures of a record's `usage`; none of a quantity that it has not, or of a build that was too short."""
    return tuple(each for each in _drawn(usage) if each is not None)


def _drawn(usage: Usage) -> Iterator[charts.Chart | None]:
    moments = usage.get("seconds", ())
    if len(moments) < 3 or any(late <= early for early, late in pairwise(moments)):
        return
    whole = moments[-1]
    over = f"in {text.duration(whole)}"
    cpu = usage.get("cpu_seconds", ())
    if len(cpu) == len(moments):
        steps = [
            (at, max(0.0, late - early) / (at - before))
            for (before, at), (early, late) in zip(pairwise(moments), pairwise(cpu), strict=True)
        ]
        most, usual = max(busy for _, busy in steps), (cpu[-1] - cpu[0]) / (whole - moments[0])
        yield charts.area("Processors busy", f"at most {most:.1f}, on average {usual:.1f}, {over}", steps, whole)
    for label, values in (("Memory", usage.get("memory_bytes", ())), ("Disk", usage.get("disk_bytes", ()))):
        if len(values) == len(moments):
            points = list(zip(moments, values, strict=True))
            yield charts.area(label, f"at most {text.size(max(values))}, {over}", points, whole)
