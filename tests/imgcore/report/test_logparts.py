# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/report/logparts.py."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from imgcore.report import log, logparts
from imgcore.report.logparts import LINES, WHOLE, Part


def written(place: Path, content: bytes) -> Path:
    path = place / "build.log"
    path.write_bytes(content)
    return path


def numbered(count: int, width: int = 0) -> bytes:
    return b"".join(b"line %d %s\n" % (number, b"x" * width) for number in range(1, count + 1))


def said(path: Path, found: tuple[Part, ...]) -> list[list[tuple[int, str]]]:
    pages = [logparts.page(path, found, at) for at in range(len(found))]
    return [[(line.number, " ".join(line.text.split()[:2])) for line in each.lines] for each in pages]


@pytest.mark.parametrize("content", [b"", b"one", numbered(log.SHOWN)])
def test_a_log_that_its_page_shows_has_no_parts(tmp_path: Path, content: bytes) -> None:
    assert logparts.parts(written(tmp_path, content)) == ()
    assert logparts.parts(tmp_path / "none") == ()


@pytest.mark.parametrize("count", [301, 1000, 1001, 2500])
@pytest.mark.parametrize("end", [b"", b"torn"])
def test_every_line_of_a_log_is_in_one_part_under_its_number(tmp_path: Path, count: int, end: bytes) -> None:
    path = written(tmp_path, numbered(count) + end)
    found = logparts.parts(path)
    lines = [line for each in said(path, found) for line in each]
    expected = [(number, f"line {number}") for number in range(1, count + 1)]
    assert lines == expected + ([(count + 1, "torn")] if end else [])
    assert [each.stem for each in found] == [f"log-{number}" for number in range(1, len(found) + 1)]
    assert [each.label for each in found][:1] == ["1 to 1,000" if count >= LINES else f"1 to {len(lines)}"]


def test_a_part_that_is_full_stays_as_it_is_while_the_log_grows(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(2500))
    before = logparts.parts(path, growing=True)
    path.write_bytes(numbered(3100))
    after = logparts.parts(path, growing=True)
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert [each.last for each in after] == [1000, 2000, 3000, 3100]


def test_of_a_long_log_the_beginning_and_the_end_are_shown_under_their_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(60_000, 100))
    found = logparts.parts(path)
    assert sum(each.end - each.start for each in found) <= WHOLE
    assert found[0].first == 1
    assert found[-1].last == 60_000
    assert any(late.first > early.last + 1 for early, late in pairwise(found))
    assert all(each.first % LINES == 1 for each in found)
    assert all(each.last % LINES == 0 for each in found)
    assert all(text == f"line {number}" for each in said(path, found) for number, text in each)


def test_of_a_gigabyte_no_more_is_shown_than_of_a_short_log(tmp_path: Path) -> None:
    path = tmp_path / "build.log"
    with path.open("wb") as file:
        file.write(numbered(30_000, 100))
        file.truncate(2**30)  # a hole reads as one line, of whatever length
        file.seek(0, 2)
        file.write(b"\n" + numbered(30_000, 100))
    found = logparts.parts(path)
    assert sum(each.end - each.start for each in found) <= WHOLE
    assert (found[0].stem, found[-1].stem, found[-1].first, found[-1].last) == ("log-1", "log-end-1", -1000, -1)
    assert said(path, found)[-1][-1] == (-1, "line 30000")
    # While it grows, what is counted from the end would be another line each time.
    assert all(each.first > 0 for each in logparts.parts(path, growing=True))


@pytest.mark.parametrize("content", [b"x" * (WHOLE + 9), b"\n" * WHOLE, b"\n" * (WHOLE + 9), b"x\n" + b"y" * WHOLE])
def test_lines_of_no_length_and_without_end_make_few_parts(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    found = logparts.parts(path)
    assert len(found) <= 80
    assert all(0 < len(each) <= LINES for each in said(path, found))


def test_a_part_says_which_of_its_lines_tell_of_errors(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(400) + b"error: no vim\nfine\n")
    shown = logparts.page(path, logparts.parts(path), 0)
    assert [(line.number, line.text) for line in shown.marked] == [(401, "error: no vim")]


def test_a_log_that_has_gone_meanwhile_has_no_lines(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(400))
    found = logparts.parts(path)
    path.unlink()
    assert logparts.page(path, found, 0).lines == ()
