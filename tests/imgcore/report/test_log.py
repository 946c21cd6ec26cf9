# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import time
from pathlib import Path

from imgcore import errors, progress
from imgcore.report import log


def tail(path: Path, content: bytes | str, **how: object) -> log.Tail:
    path = path / "build.log"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = log.read(path, **how)  # type: ignore[arg-type]
    assert found is not None
    return found


def causes(found: log.Tail) -> list[str]:
    return [line.text for line in found.lines if line.cause]


def test_no_log_is_none_and_an_empty_one_has_no_lines(tmp_path: Path) -> None:
    assert log.read(tmp_path / "build.log") is None
    assert log.read(tmp_path) is None
    assert tail(tmp_path, "") == log.Tail((), 0, 0)


def test_lines_have_their_numbers_in_the_whole_log(tmp_path: Path) -> None:
    found = tail(tmp_path, "".join(f"line {number}\n" for number in range(1, 1001)) + "torn", shown=3)
    assert [(line.number, line.text) for line in found.lines] == [
        (999, "line 999"),
        (1000, "line 1000"),
        (1001, "torn"),
    ]
    assert found.total == 1001


def test_lines_before_the_window_are_counted_and_not_shown(tmp_path: Path) -> None:
    found = tail(tmp_path, b"x" * 99 + b"\n" + b"y" * 9_999 + b"\n" * 1 + (b"z" * 999 + b"\n") * 600, shown=10_000)
    assert found.total == 602
    assert found.lines[-1].number == 602
    assert all(line.text == "z" * 999 for line in found.lines)


def test_a_log_of_a_gigabyte_is_read_in_a_moment_and_numbered_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "build.log"
    with path.open("wb") as file:
        file.truncate(2**30)
        file.seek(2**30)
        file.write(b"\nlast but one\nthe last\n")
    began = time.monotonic()
    found = log.read(path)
    assert time.monotonic() - began < 1
    assert found is not None
    assert found.total is None
    assert [(line.number, line.anchor, line.text) for line in found.lines[-2:]] == [
        (-2, "E2", "last but one"), (-1, "E1", "the last"),
    ]  # fmt: skip
    assert sum(len(line.text) for line in found.lines) < 10_000


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    found = tail(tmp_path, b"a" * 300_000)
    assert found.lines[0].text == "a" * 1000 + "… (300,000 characters)"


def test_terminal_escapes_are_gone_and_a_redrawn_line_is_shown_as_it_was_left(tmp_path: Path) -> None:
    found = tail(
        tmp_path,
        b"\x1b[1;31mred\x1b[0m\x1b[K\n\x1b]0;title\x07\x1b]8;;http://evil/\x1b\\text\x1b]8;;\x1b\\\n"
        b"10%\r50%\r100% done\r\n\x1b(B\x1bMup\n\x1bP1;2qsixel\x1b\\x\n",
    )
    assert [line.text for line in found.lines] == ["red", "text", "100% done", "up", "x"]


def test_colours_stay_behind_the_time_but_not_where_a_line_is_masked_or_cut(tmp_path: Path) -> None:
    found = tail(
        tmp_path,
        b"2025-11-24T06:59:12.1Z \x1b[31mred\x1b[0m rest\nhttp://a:b\x1b[1mc@host/\n\x1b[31m" + b"x" * 2000 + b"\n",
    )
    assert [(each.text, each.style) for each in found.lines[0].spans] == [("red", "t-red"), (" rest", "")]
    assert [line.text for line in found.lines[:2]] == ["red rest", "http://a:bc@host/"]
    assert [line.spans for line in found.lines[1:]] == [(), ()]


def test_bytes_that_are_no_text_are_shown_by_their_values(tmp_path: Path) -> None:
    assert tail(tmp_path, b"\xff\xfe ok \xc3\xa4\n").lines[0].text == "\\xff\\xfe ok ä"


def test_the_time_before_a_line_is_set_apart(tmp_path: Path) -> None:
    found = tail(tmp_path, "2025-11-24T06:59:12.123Z one\n[06:59:13] two\n06:59:14.5 three\n06:5 four\n06:59:15\n")
    assert [(line.time, line.text) for line in found.lines] == [
        ("06:59:12", "one"), ("06:59:13", "two"), ("06:59:14", "three"), ("", "06:5 four"), ("06:59:15", ""),
    ]  # fmt: skip


def test_progress_lines_are_told_apart_from_what_tools_say(tmp_path: Path) -> None:
    steps = [progress.Progress("install", 0, 2), progress.Progress("install", 1, 2, "a"), progress.Progress("image")]
    found = tail(tmp_path, "".join(f"{progress.render(each)}\n" for each in steps) + "Warning: odd\n")
    assert [(line.kind, line.text) for line in found.lines] == [
        ("phase", "install 0/2"), ("step", "install 1/2 a"), ("phase", "image"), ("doubtful", "Warning: odd"),
    ]  # fmt: skip


def test_the_creators_error_line_is_what_explains_a_failure(tmp_path: Path) -> None:
    error = errors.BuildError("no package foo", "add it", "package-missing")
    content = f"error: an earlier one\na\nb\n{errors.render(error)}\nthe end\n"
    found = tail(tmp_path, content, failed=True, error=error.message)
    assert causes(found) == ["error: no package foo (add it)"]
    assert [line.number for line in found.excerpt] == [1, 2, 3, 4, 5]
    assert found.explained


def test_a_line_of_another_tool_is_found_by_the_sentence_that_was_made_of_it(tmp_path: Path) -> None:
    content = (
        "Error: one thing\nError <creator>[11/24 06:59:12] : Unable to find package: foo\nError: the other\nend\n"
    )
    found = tail(tmp_path, content, failed=True, error="package foo is in none of the repositories")
    assert causes(found) == ["Error <creator>[11/24 06:59:12] : Unable to find package: foo"]
    found = tail(tmp_path, content, failed=True, error="one thing failed")
    assert causes(found) == ["Error: one thing"]


def test_the_workers_last_word_is_not_taken_for_the_explanation(tmp_path: Path) -> None:
    error = "package foo is in none of the repositories"
    content = f"Unable to find package: foo\nError: cleaning up\nERROR: {error}\n"
    assert causes(tail(tmp_path, content, failed=True, error=error)) == ["Unable to find package: foo"]
    assert causes(tail(tmp_path, f"fine\nERROR: {error}\n", failed=True, error=error)) == []


def test_without_a_hint_the_last_complaint_explains_the_failure(tmp_path: Path) -> None:
    found = tail(tmp_path, "error: first\nfine\nerror: second\nfine\n", failed=True)
    assert causes(found) == ["error: second"]


def test_a_job_stopped_from_outside_shows_where_its_log_ended_and_blames_no_line(tmp_path: Path) -> None:
    content = "error: harmless\n" + "".join(f"step {number}\n" for number in range(20))
    found = tail(tmp_path, content, failed=True, error="the build took longer than 600 s", cause="time-out")
    assert causes(found) == []
    assert not found.explained
    assert found.excerpt[-1].text == "step 19"


def test_nothing_is_marked_in_the_log_of_a_job_that_did_not_fail(tmp_path: Path) -> None:
    found = tail(tmp_path, "error: harmless\n")
    assert causes(found) == []
    assert found.excerpt == ()


def test_the_explaining_line_is_found_before_the_lines_that_are_shown(tmp_path: Path) -> None:
    content = "error: No match for argument: foo\n" + "tidying up\n" * 500
    found = tail(tmp_path, content, failed=True, error="No match for argument: foo")
    assert found.excerpt[0].cause
    assert not found.shows(found.excerpt[0])
