# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/usage.py."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from imgcore.usage import MOST, Usage


def test_of_a_short_build_each_half_second_is_kept() -> None:
    usage = Usage()
    kept = [usage.add(number / 4, number / 8, number, 0) for number in range(8)]
    assert kept == [True, False] * 4
    assert usage.columns()["seconds"] == [0, 0.5, 1, 1.5]
    # The moments between two samples are not lost.
    assert usage.columns()["memory_bytes"] == [0, 2, 4, 6]


def test_a_long_build_has_samples_at_even_distances_and_no_peak_is_lost() -> None:
    usage = Usage()
    for number in range(1000):
        usage.add(number, number, 99 if number == 10 else 1, 77 if number == 501 else 1)
    columns = usage.columns()
    distances = [late - early for early, late in pairwise(columns["seconds"])]
    assert 30 <= len(distances) < MOST
    assert max(distances) <= 2 * min(distances)
    assert (max(columns["memory_bytes"]), max(columns["disk_bytes"])) == (99, 77)


def test_without_a_sample_there_are_no_columns() -> None:
    assert Usage().columns() == {}


@given(st.lists(st.tuples(st.floats(0.1, 500), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=800))
def test_however_long_it_takes_the_samples_are_few_in_order_and_keep_the_peaks(
    moments: list[tuple[float, int, int]],
) -> None:
    usage, now, told = Usage(), 0.0, 0
    for number, (step, memory, disk) in enumerate(moments):
        now += step
        if usage.add(now, now, memory, disk):
            told = number
    columns = usage.columns()
    assert 1 <= len(columns["seconds"]) < MOST
    assert columns["seconds"] == sorted(columns["seconds"])
    assert {len(each) for each in columns.values()} == {len(columns["seconds"])}
    for at, name in ((1, "memory_bytes"), (2, "disk_bytes")):
        assert max(columns[name]) >= max(each[at] for each in moments[: told + 1])
