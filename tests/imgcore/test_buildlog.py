# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/buildlog.py."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.buildlog import BuildLog, printable, without_credentials
from imgcore.errors import SpoolError


def test_a_line_is_on_the_disk_as_soon_as_it_is_said(tmp_path: Path) -> None:
    with BuildLog(tmp_path / "log", 0) as log:
        log.add("one")
        assert (tmp_path / "log").read_text().endswith("Z one\n")
        assert list(log.tail) == ["one"]


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ("get https://me:pw@host/x and ftp://a:b@c", "get https://***@host/x and ftp://***@c"),
        ("https://host/a:b@c stays", "https://host/a:b@c stays"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_credentials_are_masked(line: str, safe: str) -> None:
    assert without_credentials(line) == safe


@given(st.text())
def test_what_is_printable_moves_no_cursor(text: str) -> None:
    assert not set(printable(text)) & set("\x1b\x00\x07\x08\x0b\x0d\x7f\x9b\u202e")


def test_colours_and_titles_go_and_words_stay() -> None:
    assert printable("\x1b[31mred\x1b[0m \x1b]0;title\x07 end") == "red  end"
    assert printable("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\ (B\x1b(B") == "link (B"


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="nowhere"):
        BuildLog(tmp_path / "nowhere" / "log", 0)
