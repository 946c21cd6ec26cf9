# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/delivery.py."""

import hashlib
import os
import resource
from pathlib import Path

import pytest

from imgcore import delivery
from imgcore.delivery import Delivery, discard, place
from imgcore.errors import ImagerError, SpoolError


@pytest.fixture(params=["nameless", "hidden"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With O_TMPFILE, and as on file systems without it."""
    if request.param == "hidden":
        real = os.open

        def refusing(path: os.PathLike[str], flags: int, *more: int, **named: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return real(path, flags, *more, **named)

        monkeypatch.setattr(delivery.os, "open", refusing)
    return str(request.param)


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def test_files_appear_all_at_once(tmp_path: Path, kind: str) -> None:
    with Delivery(tmp_path, "p/q", "id") as made:
        made.add("a", b"one")
        made.begin("d/b", 10)
        made.write(0, b"start")
        assert not place(tmp_path, "p/q", "id").exists()
        made.publish("name")
    assert (tmp_path / "p/q/id/a").read_bytes() == b"one"
    assert (tmp_path / "p/q/id/d/b").read_bytes() == b"start\0\0\0\0\0"
    assert (tmp_path / "p/q/latest/name").resolve() == tmp_path / "p/q/id"
    assert names(tmp_path / "p/q") == ["id", "latest"]


def test_nothing_is_left_of_what_is_not_published(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ZeroDivisionError), Delivery(tmp_path, "p", "id") as made:
        made.add("a", b"one")
        made.partial()
        raise ZeroDivisionError
    assert names(tmp_path / "p") == []


def test_a_digest_counts_the_holes(tmp_path: Path, kind: str) -> None:
    with Delivery(tmp_path, "p", "id") as made:
        made.begin("sparse", 5 << 20)
        made.write(3 << 20, b"x" * 100)
        content = bytes(3 << 20) + b"x" * 100 + bytes((2 << 20) - 100)
        assert made.sha256("sparse") == hashlib.sha256(content).hexdigest()
        made.publish()
    published = tmp_path / "p/id/sparse"
    assert published.read_bytes() == content
    assert published.stat().st_blocks * 512 < 1 << 20


def test_a_second_delivery_replaces_the_first(tmp_path: Path, kind: str) -> None:
    for content in (b"one", b"two"):
        with Delivery(tmp_path, "p", "id") as made:
            made.add("a", content)
            made.publish("n")
    assert (tmp_path / "p/id/a").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", ".", "a\0b"])
def test_a_name_that_leaves_the_place_is_refused(tmp_path: Path, name: str) -> None:
    with Delivery(tmp_path, "p", "id") as made, pytest.raises(ImagerError, match="with the name"):
        made.begin(name, 1)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with Delivery(tmp_path, "p", "id") as made:
        made.add("a", b"")
        with pytest.raises(ImagerError, match="with the name"):
            made.add("a", b"")


def test_data_outside_of_the_file_is_refused(tmp_path: Path) -> None:
    with Delivery(tmp_path, "p", "id") as made:
        made.begin("a", 4)
        made.write(0, b"ab")
        for offset in (0, 3):
            with pytest.raises(ImagerError, match="out of order"):
                made.write(offset, b"xy")


def test_a_file_dropped_is_not_published(tmp_path: Path, kind: str) -> None:
    with Delivery(tmp_path, "p", "id") as made:
        made.add("a", b"1")
        made.add("b", b"2")
        made.drop("a")
        made.publish()
    assert names(tmp_path / "p/id") == ["b"]


def test_a_file_is_copied_as_it_is_now(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "log"
    source.write_bytes(b"x" * (3 << 20))
    with Delivery(tmp_path, "p", "id") as made:
        made.add_file("log", source)
        made.publish()
    assert (tmp_path / "p/id/log").read_bytes() == source.read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file"), Delivery(tmp_path / "file", "p", "id"):
        pass


def test_what_a_dead_worker_left_is_discarded(tmp_path: Path) -> None:
    made = Delivery(tmp_path, "p", "id").__enter__()
    made.add("a", b"1")
    left = made.partial()
    assert left.exists()
    discard(tmp_path, "p", "id")
    assert not left.exists()


def test_a_file_that_goes_to_the_disk_while_it_comes_arrives_whole(tmp_path: Path, kind: str) -> None:
    content = os.urandom(1 << 20) * 9 + bytes(12 << 20) + os.urandom(1 << 20) * 9
    with Delivery(tmp_path, "p", "id") as made:
        made.begin("large", len(content))
        for at in (*range(0, 9 << 20, 1 << 20), *range(21 << 20, 30 << 20, 1 << 20)):
            made.write(at, content[at : at + (1 << 20)])
        assert made.sha256("large") == hashlib.sha256(content).hexdigest()
        made.publish()
    assert (tmp_path / "p/id/large").read_bytes() == content


def test_more_files_than_a_process_may_have_open_are_delivered(tmp_path: Path, kind: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        with Delivery(tmp_path, "p", "id") as made:
            for number in range(600):
                made.begin(f"d{number % 7}/{number}", 3, 0o755)
                made.write(0, b"%03d" % number)
            assert (made.read("d4/599", 9), made.read("d0/0", 9)) == (b"599", b"000")
            assert made.sha256("d3/500") == hashlib.sha256(b"500").hexdigest()
            made.drop("d4/599")
            made.drop("d2/590")
            made.publish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    found = {path.name: path.read_bytes() for path in (tmp_path / "p/id").rglob("*") if path.is_file()}
    assert found == {str(number): b"%03d" % number for number in range(600) if number not in (590, 599)}
    assert (tmp_path / "p/id/d3/500").stat().st_mode & 0o777 == 0o755
    assert names(tmp_path / "p") == ["id"]


def test_nothing_of_many_files_is_left_that_are_not_published(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ZeroDivisionError), Delivery(tmp_path, "p", "id") as made:
        for number in range(300):
            made.add(f"{number}", b"x")
        raise ZeroDivisionError
    assert names(tmp_path / "p") == []
