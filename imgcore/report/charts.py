# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures as numbers for SVG: a row of bars, one a build or one a week; an area over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Bar", "Chart", "area", "bars"]

#: The picture's coordinates; a style sheet says how large it is.
WIDTH, HEIGHT = 600, 60


@dataclass(frozen=True)
class Bar:
    """A bar; `slug` is the state that it has the colour of, `title` what it says."""

    x: float
    y: float
    width: float
    height: float
    slug: str
    title: str


@dataclass(frozen=True)
class Chart:
    """A picture with what it shows in words, for whom it is no picture."""

    label: str
    summary: str
    bars: tuple[Bar, ...] = ()
    #: The corners of a polygon.
    area: str = ""


def bars(
    label: str, values: Sequence[tuple[float, str, str]], shown: Callable[[float], str], *, room: int = 0
) -> Chart | None:
    """A chart of `values` (amount, state, name), oldest first; None where there is nothing to see.

    It has room for `room` bars, so that few of them are not as wide as the page.
    """
    values = [(min(amount, 1e30), slug, name) for amount, slug, name in values]
    highest = max((amount for amount, _, _ in values), default=0.0)
    if highest <= 0:
        return None
    step = WIDTH / max(len(values), room)
    drawn = []
    for index, (amount, slug, name) in enumerate(values):
        height = max(amount / highest * HEIGHT, 1.0) if amount > 0 else 0.0
        x, y, width = round(index * step, 1), round(HEIGHT - height, 1), round(step * 0.8, 1)
        drawn.append(Bar(x, y, width, round(height, 1), slug, f"{name}: {shown(amount)}"))
    lowest = min(amount for amount, _, _ in values)
    span = shown(highest) if lowest == highest else f"{shown(lowest)} to {shown(highest)}"
    return Chart(label, f"{span}, at last {shown(values[-1][0])}", tuple(drawn))


def area(label: str, summary: str, points: Sequence[tuple[float, float]], width: float) -> Chart | None:
    """A picture of amounts at moments between 0 and `width`; None where there is nothing to see."""
    points = [(min(at, width), min(amount, 1e30)) for at, amount in points]
    highest = max((amount for _, amount in points), default=0.0)
    if highest <= 0 or width <= 0:
        return None
    drawn = [(at / width * WIDTH, HEIGHT - amount / highest * HEIGHT) for at, amount in points]
    corners = [(drawn[0][0], float(HEIGHT)), *drawn, (drawn[-1][0], float(HEIGHT))]
    return Chart(label, summary, area=" ".join(f"{x:.1f},{y:.1f}" for x, y in corners))
