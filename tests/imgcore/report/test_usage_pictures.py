# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/report/usage.py, and the picture that it is drawn as."""

from __future__ import annotations

import pytest

from imgcore.job import Usage
from imgcore.report import charts
from imgcore.report.usage import drawn

USAGE: Usage = {
    "seconds": (0.0, 10.0, 20.0), "cpu_seconds": (0.0, 5.0, 25.0), "memory_bytes": (0, 2**20, 2**21),
    "disk_bytes": (0, 0, 0),
}  # fmt: skip


def test_processors_are_drawn_by_how_many_were_busy_and_the_rest_as_it_is() -> None:
    told = {each.label: each for each in drawn(USAGE)}
    assert told["Processors busy"].summary == "at most 2.0, on average 1.2, in 20.0 s"
    assert told["Memory"].summary == "at most 2.0 MiB, in 20.0 s"
    assert told["Processors busy"].area == "300.0,60.0 300.0,45.0 600.0,0.0 600.0,60.0"
    # Of nothing there is no picture.
    assert "Disk" not in told


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"seconds": (1.0,), "memory_bytes": (5,)},
        {"seconds": (0.0, 2.0, 1.0), "memory_bytes": (1, 2, 3)},
        {"seconds": (0.0, 1.0, 2.0), "memory_bytes": (1, 2)},
    ],
)
def test_what_is_no_course_of_time_is_not_drawn(usage: Usage) -> None:
    assert drawn(usage) == ()


def test_amounts_beyond_all_measure_are_drawn_within_the_picture() -> None:
    chart = charts.area("x", "y", [(0.0, 0.0), (1.0, 1e300), (5.0, 1.0)], 2.0)
    assert chart is not None
    assert chart.area == "0.0,60.0 0.0,60.0 300.0,0.0 600.0,60.0 600.0,60.0"
