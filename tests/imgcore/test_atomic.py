# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/atomic.py."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from imgcore import atomic
from imgcore.errors import SpoolError
from tests.support.disk import watch


def test_a_replaced_file_is_synced_before_it_gets_its_name_and_its_directory_after(tmp_path: Path) -> None:
    with watch() as disk:
        atomic.replace(tmp_path / "a", b"new")
    assert disk.calls == ["write", "fsync", "rename", "fsync of a directory"]
    assert (disk.faults, disk.unsafe) == ([], [])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_replacement_that_is_not_settled_is_safe_some_seconds_later_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with watch() as disk, atomic.Slot(tmp_path / "a") as slot:
        for number in range(12):
            slot.put(b"%d" % number, settle=False)
            # A second each: the sixth is safe at once, and the eleventh.
            assert disk.unsafe == ([] if number in (5, 10) else ["a"])
            now[0] += 1
    assert (disk.faults, disk.unsafe) == ([], [])
    assert (tmp_path / "a").read_bytes() == b"11"


def test_a_reader_sees_the_old_or_the_new_file_and_never_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    versions = {bytes([65 + number]) * 300_000 for number in range(2)}
    atomic.replace(path, b"A" * 300_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for version in sorted(versions):
                atomic.replace(path, version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert path.read_bytes() in versions
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_failure_at_any_call_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a"
    atomic.replace(path, b"old")

    def fail(*_arguments: object, **_more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(SpoolError, match="No space left on device") as caught:
            atomic.replace(path, b"new")
    assert str(path) in caught.value.message
    assert "free space" in caught.value.remedy
    assert (path.read_bytes(), [path.name for path in tmp_path.iterdir()]) == (b"old", ["a"])


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real(descriptor, content[:7]))
    atomic.replace(tmp_path / "a", b"0123456789" * 10)
    assert (tmp_path / "a").read_bytes() == b"0123456789" * 10


def test_a_slot_knows_whether_somebody_else_has_replaced_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic.Slot(path) as slot:
        assert not slot.unchanged()
        slot.put(b"1")
        assert slot.unchanged()
        # Many times: the inode of the version that was seen must not come back under another content.
        for number in range(50):
            atomic.replace(path, b"%d" % number)
            assert not slot.unchanged()
        assert slot.read() == b"49"
        assert slot.unchanged()
        path.unlink()
        assert not slot.unchanged()
        with pytest.raises(FileNotFoundError):
            slot.read()


def test_what_a_crash_leaves_can_be_told_from_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(os, "rename", lambda source, *_rest, **_more: left.append(source))
    atomic.replace(tmp_path / "a.json", b"x")
    assert [atomic.is_stray(name) for name in left] == [True]
    for name in ("job.json", ".hidden", "x.tmp", ".job.json.tmp", "events.jsonl", ".tmp"):
        assert not atomic.is_stray(name)


def test_a_line_is_appended_behind_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with watch() as disk:
        atomic.append(path, b"one\n")
        atomic.append(path, b"tw")
        atomic.append(path, b"two\n", at=4)
    assert path.read_bytes() == b"one\ntwo\n"
    assert disk.unsafe == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free space"), (errno.EDQUOT, "free space"), (errno.EROFS, "for writing"),
     (errno.EACCES, "its owner"), (errno.ENOENT, "path is right"), (errno.EIO, "check the disk")],
)  # fmt: skip
def test_every_failure_says_what_to_do(tmp_path: Path, number: int, remedy: str) -> None:
    told = atomic.failed(tmp_path / "x", OSError(number, os.strerror(number)))
    assert told.message.startswith(f"{tmp_path / 'x'} cannot be written: {os.strerror(number)}")
    assert remedy in told.remedy


def test_a_missing_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    for act in (
        lambda: atomic.replace(tmp_path / "no/a", b""),
        lambda: atomic.append(tmp_path / "no/a", b""),
        lambda: atomic.write_new(tmp_path / "no/a", b""),
        lambda: atomic.sync_directory(tmp_path / "no"),
    ):
        with pytest.raises(SpoolError, match=str(tmp_path / "no")):
            act()
