# SPDX-License-Identifier: GPL-2.0-or-later
"""Contenders side by side in one run: interleaved rounds, medians, ratios against named references."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from arena import Run

__all__ = ["Target", "medians", "rounds", "table"]


@dataclass(frozen=True)
class Target:
    """`what` may take at most `limit` times as long as `against`, or `seconds` more.

    The medians are judged and, where they miss, the fastest runs: whatever else the machine does only adds.
    """

    what: str
    against: str
    limit: float
    seconds: float = 0.0

    def met(self, found: Mapping[str, Mapping[str, float]]) -> bool:
        """Whether it does."""
        return any(self._met(found, key) for key in ("seconds", "fastest"))

    def _met(self, found: Mapping[str, Mapping[str, float]], key: str) -> bool:
        mine, other = found[self.what][key], found[self.against][key]
        return mine <= max(other * self.limit, other + self.seconds if self.seconds else 0.0)

    def told(self, found: Mapping[str, Mapping[str, float]]) -> str:
        """The ratio, the limit and the verdict in one line."""
        mine, other = found[self.what], found[self.against]
        allowed = f"at most {self.limit:g} x" + (f" or {self.seconds:g} s more" if self.seconds else "")
        told = [
            f"{name}{mine[key] / other[key]:.2f} x, {mine[key] - other[key]:+.2f} s"
            for name, key in (("", "seconds"), ("fastest runs ", "fastest"), ("CPU ", "cpu_seconds"))
            if other[key]
        ]
        verdict = "good" if self.met(found) else "MISSED"
        return f"{self.what} against {self.against}: {'; '.join(told)} ({allowed}): {verdict}"


def rounds(count: int, contenders: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """`count` runs of each, all of them once a round, in an order that turns; one more round before warms up."""
    found: dict[str, list[Run]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(count + 1):
        for name in order:
            ran = contenders[name]()
            if number:
                found[name].append(ran)
        order.append(order.pop(0))
    return found


def medians(found: Mapping[str, list[Run]]) -> dict[str, dict[str, float]]:
    """Seconds, CPU seconds and bytes of scratch of each contender: medians of its runs, and the fastest run."""
    return {
        name: {
            "seconds": statistics.median(each.seconds for each in runs),
            "fastest": min(each.seconds for each in runs),
            "cpu_seconds": statistics.median(each.cpu_seconds for each in runs),
            "scratch": statistics.median(each.used for each in runs),
        }
        for name, runs in found.items()
    }


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The contenders, a line each."""
    width = max(map(len, found))
    lines = []
    for name, each in found.items():
        fastest, cpu = each["fastest"], each["cpu_seconds"]
        line = f"  {name:{width}}  {each['seconds']:7.3f} s   fastest {fastest:.3f} s"
        line += f"   CPU {cpu:.3f} s" if cpu else ""
        lines.append(line + (f"   scratch {each['scratch'] / 1e6:.0f} MB" if each["scratch"] else ""))
    return "\n".join(lines)
