# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/frames.py."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.executor import frames

names = st.text(min_size=1, max_size=20).filter(lambda each: "/" not in each and "\0" not in each and each not in ".."
                                                and not any(0xD800 <= ord(c) < 0xE000 for c in each))  # fmt: skip


def through_a_pipe(content: bytes) -> int:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, content)
    os.close(writing)
    return reading


@given(st.dictionaries(names, st.binary(max_size=200), max_size=5), st.binary(max_size=5))
def test_input_files_arrive_as_they_were_and_nothing_behind_them_is_read(
    inputs: dict[str, bytes], behind: bytes
) -> None:
    descriptor = through_a_pipe(frames.pack_inputs(inputs) + behind)
    try:
        assert frames.receive_inputs(descriptor) == inputs
        assert os.read(descriptor, 100) == behind
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["a/b", "..", ".", "", "a\0b", "/etc/passwd"])
def test_an_input_cannot_be_put_elsewhere(name: str) -> None:
    descriptor = through_a_pipe(frames.pack_inputs({name: b""}))
    with pytest.raises(ValueError, match="not a file name"):
        frames.receive_inputs(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x05{}"])
def test_input_that_is_cut_off_or_too_large_is_an_error(content: bytes) -> None:
    descriptor = through_a_pipe(content)
    with pytest.raises(ValueError, match=r"ended early|more than"):
        frames.receive_inputs(descriptor)
    os.close(descriptor)


@given(st.lists(st.tuples(st.sampled_from([frames.LINES, frames.END]), st.binary(max_size=100)), max_size=10))
def test_frames_are_read_as_they_were_sent_and_a_cut_one_is_dropped(sent: list[tuple[bytes, bytes]]) -> None:
    reading, writing = os.pipe()
    for kind, content in sent:
        frames.Writer(writing).send(kind, content)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        whole = stream.read()
    assert list(frames.read(io.BytesIO(whole))) == sent
    if sent:
        assert list(frames.read(io.BytesIO(whole[:-1]))) == sent[: -1 if sent[-1][1] else len(sent) - 1]


def test_a_file_is_sent_without_its_holes(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"here")
    reading, writing = os.pipe()
    descriptor = os.open(path, os.O_RDONLY)
    frames.Writer(writing).send_file("sparse", descriptor)
    os.close(writing)
    os.close(descriptor)
    with os.fdopen(reading, "rb") as stream:
        (first, head), *rest = list(frames.read(stream))
    assert first == frames.FILE and b"1073741824" in head
    pieces = [frames.decode_data(content) for _, content in rest]
    assert sum(len(content) for _, content in pieces) < 1 << 16
    assert any(content[(1 << 29) - offset :].startswith(b"here") for offset, content in pieces)
