# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/report/colours.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.report.colours import plain, spans


def looks(text: str) -> list[tuple[str, str]]:
    return [(each.text, each.style) for each in spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb\x1b[0mc", [("a", ""), ("b", "t-red"), ("c", "")]),
        ("\x1b[1;92mok\x1b[m.", [("ok", "t-bold t-green"), (".", "")]),
        ("\x1b[4;34mx\x1b[24my\x1b[39mz", [("x", "t-under t-blue"), ("y", "t-blue"), ("z", "")]),
        ("\x1b[41;37mx\x1b[49my", [("x", "t-back"), ("y", "")]),
        ("\x1b[90mx", [("x", "t-grey")]),
        ("\x1b[38;5;9mx", [("x", "t-red")]),
        ("\x1b[38;5;208mx", [("x", "t-red")]),
        ("\x1b[38;5;250;4mx", [("x", "t-under")]),
        ("\x1b[38;2;10;200;190mx", [("x", "t-cyan")]),
        ("\x1b[48;2;10;200;190;1mx", [("x", "t-back t-bold")]),
        ("\x9b35mx", [("x", "t-magenta")]),
        # Nothing is hidden, and a number that nobody knows does nothing.
        ("\x1b[8;999mx\x1b[31my", [("x", ""), ("y", "t-red")]),
    ],
)
def test_a_text_is_parted_where_its_looks_change(text: str, expected: list[tuple[str, str]]) -> None:
    assert looks(text) == expected


def test_a_text_without_colours_is_not_parted() -> None:
    assert spans("plain") == ()
    assert spans("\x1b[0mplain\x1b[m") == ()


def test_a_text_of_nothing_but_colours_has_a_bounded_number_of_pieces() -> None:
    found = spans("".join(f"\x1b[{31 + number % 2}mx" for number in range(5000)))
    assert len(found) == 101
    assert "".join(each.text for each in found) == "x" * 5000


@given(st.lists(st.sampled_from(["\x1b[", "31", "38", "5", ";", ":", "m", "a", "\x9b", "0", "999"]), max_size=30))
def test_whatever_stands_there_the_pieces_are_the_text_without_its_colours(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = spans(text)
    assert "".join(each.text for each in found) == (plain(text) if found else "")
