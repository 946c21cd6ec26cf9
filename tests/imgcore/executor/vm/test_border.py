# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/border.py: whatever a machine sends, what passes is what a sandbox sends."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.executor import frames
from imgcore.executor.vm.border import Breach, checked

END = {"status": 0, "stopped": False, "cpu_seconds": 1.5, "peak_memory_bytes": 3}


def frame(kind: bytes, content: bytes | dict[str, Any]) -> bytes:
    packed = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack(">cI", kind, len(packed)) + packed


def file(name: Any, size: Any = 3, mode: Any = 0o644) -> bytes:
    return frame(b"F", {"name": name, "size": size, "mode": mode})


def piece(offset: int, content: bytes) -> bytes:
    return frame(b"D", struct.pack(">Q", offset) + content)


def passed(*sent: bytes, most: int = 1000) -> list[tuple[bytes, bytes]]:
    return list(checked(io.BytesIO(b"".join(sent)), most))


def test_what_a_sandbox_says_passes_unchanged() -> None:
    sent = [
        frame(b"L", b"a line\nanother"), frame(b"S", b"4096"), file("a/b"), piece(0, b"ab"), piece(2, b"c"),
        file("hole", 100), frame(b"E", END),
    ]  # fmt: skip
    kinds = [kind for kind, _ in passed(*sent)]
    assert kinds == [b"L", b"S", b"F", b"D", b"D", b"F", b"E"]
    assert passed(*sent)[0] == (b"L", b"a line\nanother")


def test_nothing_comes_after_the_end() -> None:
    assert [kind for kind, _ in passed(frame(b"E", END), frame(b"L", b"more"))] == [b"E"]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b", "a\nb", "x" * 5000, 7, None, "\u202eabc"]
)
def test_a_file_whose_name_leads_elsewhere_is_a_breach(name: Any) -> None:
    with pytest.raises(Breach, match="name"):
        passed(file(name))


def test_a_name_comes_once() -> None:
    with pytest.raises(Breach, match="came before"):
        passed(file("a"), file("a"))


@pytest.mark.parametrize("size", [1001, -1, 1.5, "3", None, True, 2**80])
def test_files_have_no_more_bytes_than_the_job_may_have(size: Any) -> None:
    with pytest.raises(Breach, match="1000 bytes"):
        passed(file("a", size))


def test_many_small_files_have_no_more_bytes_together_either() -> None:
    with pytest.raises(Breach, match="1000 bytes"):
        passed(*(file(f"f{number}", 300) for number in range(4)))


@pytest.mark.parametrize("mode", [0o4755, -1, "755"])
def test_a_mode_is_only_who_may_read_write_and_run(mode: Any) -> None:
    with pytest.raises(Breach):
        passed(file("a", 1, mode))


@pytest.mark.parametrize(
    "pieces",
    [[(2, b"ab")], [(1, b"a"), (0, b"b")], [(2**63, b"")], [(0, b"abcd")]],
    ids=["over", "back", "far", "long"],
)
def test_a_piece_lies_in_its_file_and_after_the_one_before(pieces: list[tuple[int, bytes]]) -> None:
    with pytest.raises(Breach, match="place"):
        passed(file("a", 3), *(piece(*each) for each in pieces))


def test_millions_of_files_are_a_breach() -> None:
    with pytest.raises(Breach, match="100000 files"):
        for _ in checked(io.BytesIO(b"".join(file(f"f{number}", 0) for number in range(100_001))), 10):
            pass


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"Z", b""),
        frame(b"S", b"-1"),
        frame(b"S", b""),
        frame(b"S", b"%d" % 2**63),
        frame(b"D", b"short"),
        frame(b"E", b"[]"),
        frame(b"E", b"{}"),
        frame(b"E", {**END, "status": "0"}),
        frame(b"E", {**END, "stopped": 0}),
        frame(b"X", {"message": 3, "remedy": ""}),
        frame(b"X", {"message": "", "remedy": "\ud800"}),
        frame(b"F", b"\xff"),
        frame(b"F", b"[" * 60000),
        struct.pack(">cI", b"L", 2**32 - 1),
        struct.pack(">cI", b"D", 1 << 24),
    ],
)
def test_what_is_no_frame_of_a_sandbox_is_a_breach(sent: bytes) -> None:
    with pytest.raises(Breach):
        passed(sent)


def test_a_machine_that_ends_in_the_middle_of_a_frame_has_said_nothing_with_it() -> None:
    assert passed(frame(b"L", b"whole"), frame(b"L", b"cut off")[:-2]) == [(b"L", b"whole")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("status", value) for value in ("1.5", "256", "-256", "1e999", "true", "null", '"0"', "9" * 400)),
        *(("cpu_seconds", value) for value in ("NaN", "Infinity", "-Infinity", "1e999", "-0.1", "false", "9" * 400)),
        *(("peak_memory_bytes", value) for value in ("NaN", "1.5", "-1", str(2**63), "true", "[]")),
    ],
)
def test_an_end_has_numbers_that_a_record_can_hold(name: str, value: str) -> None:
    with pytest.raises(Breach, match="numbers"):
        passed(frame(b"E", json.dumps({**END, name: "HERE"}).replace('"HERE"', value).encode()))


def test_the_largest_numbers_of_a_sandbox_pass() -> None:
    for status in (-64, 255):
        end = {**END, "status": status, "cpu_seconds": 0, "peak_memory_bytes": 2**63 - 1}
        assert len(passed(frame(b"S", b"%d" % (2**63 - 1)), frame(b"E", end))) == 2


@given(st.binary(max_size=400))
def test_anything_passes_or_is_a_breach_and_nothing_else(sent: bytes) -> None:
    try:
        found = passed(sent)
    except Breach:
        return
    assert all(kind in b"LSFDEX" for kind, _ in found)


def test_the_longest_line_of_a_sandbox_passes() -> None:
    assert passed(frame(b"L", b"x" * (2 * frames.LINE_BYTES)))[0][0] == b"L"
