# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/bases.py: base images are replaced whole, and not under who starts with them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from imgcore.errors import InputError, SpoolError
from imgcore.executor.vm import bases
from imgcore.executor.vm.bases import Base


def make(directory: Path, content: bytes, name: str = "one") -> Base:
    with bases.adding(directory, name) as place:
        (place / "disk").write_bytes(content)
        return bases.publish(directory, Base(name, place / "disk", "raw", 4096, {"how": "import", "file": "/x"}))


def files(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir() if not each.name.endswith(".lock"))


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    made = bases.updated(tmp_path, make(tmp_path, b"a"), {"os": "Some"})
    assert bases.read(tmp_path, "one") == made
    assert (made.file.read_bytes(), bases.digest(made.file), bases.known(tmp_path)) == (b"a", made.sha256, ["one"])
    assert made.file.stat().st_mode & 0o777 == 0o644


def test_nobody_else_gets_at_the_files_or_their_locks(tmp_path: Path) -> None:
    made = make(tmp_path / "share/bases", b"a")
    assert made.file.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_was_there_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make(tmp_path, b"a")
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_new_one_takes_the_place_of_the_old_one_and_only_its(tmp_path: Path) -> None:
    make(tmp_path, b"another's", "one-0123456789ab")
    old, new = make(tmp_path, b"a"), make(tmp_path, b"b")
    assert bases.read(tmp_path, "one") == new and not old.file.exists()
    assert bases.read(tmp_path, "one-0123456789ab").file.read_bytes() == b"another's"


def test_what_fails_before_it_is_kept_leaves_the_old_one(tmp_path: Path) -> None:
    made = make(tmp_path, b"a")
    with pytest.raises(RuntimeError), bases.adding(tmp_path, "one") as place:
        (place / "disk").write_bytes(b"b")
        raise RuntimeError
    assert bases.read(tmp_path, "one") == made
    assert files(tmp_path) == [made.file.name, "one.json"]


def test_the_file_stays_for_who_starts_a_machine_with_it(tmp_path: Path) -> None:
    made = make(tmp_path, b"a")
    remover = threading.Thread(target=bases.remove, args=(tmp_path, "one"))
    with bases.used(made.file):
        remover.start()
        remover.join(0.3)
        assert made.file.read_bytes() == b"a" and bases.known(tmp_path) == []
    remover.join(10)
    assert files(tmp_path) == []


def test_a_file_that_is_gone_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), bases.used(tmp_path / "gone"):
        raise AssertionError("it was used")


def test_two_cannot_make_the_same_one_at_once(tmp_path: Path) -> None:
    with bases.adding(tmp_path, "one"):
        with pytest.raises(InputError, match="is being made"), bases.adding(tmp_path, "one"):
            raise AssertionError("it was made twice")
        make(tmp_path, b"b", "other")


def test_what_a_maker_that_was_killed_has_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".dead.new/tree").mkdir(parents=True)
    with bases.adding(tmp_path, "alive"):
        make(tmp_path, b"b", "other")
        assert not (tmp_path / ".dead.new").exists() and (tmp_path / ".alive.new").exists()


@pytest.mark.parametrize("name", ["../one", "", ".one", "-one", "a/b"])
def test_a_name_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    for use in (bases.read, bases.remove):
        with pytest.raises(InputError, match="field base"):
            use(tmp_path, name)
    with pytest.raises(InputError, match="field base"), bases.adding(tmp_path, name):
        raise AssertionError("it was taken")


def test_one_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    make(tmp_path, b"a")
    with pytest.raises(InputError, match=r"there is no base image two.*there are: one"):
        bases.remove(tmp_path, "two")
    with pytest.raises(InputError, match="img vm make-base"):
        bases.read(tmp_path / "nowhere", "two")


@pytest.mark.parametrize(
    "change",
    [{"file": 3}, {"name": "two"}, {"format": "vmdk"}, {"more": 1}],
)
def test_a_damaged_description_is_refused_and_can_be_removed(tmp_path: Path, change: dict[str, object]) -> None:
    made = make(tmp_path, b"a")
    (tmp_path / "one.json").write_text(json.dumps({**made.told(), **change}))
    with pytest.raises(SpoolError, match="is not what describes a base image"):
        bases.read(tmp_path, "one")
    bases.remove(tmp_path, "one")
    assert files(tmp_path) == []


def test_a_description_cannot_lead_to_a_file_elsewhere(tmp_path: Path) -> None:
    made = make(tmp_path, b"a")
    (tmp_path / "one.json").write_text(json.dumps({**made.told(), "file": "/etc/shadow"}))
    assert bases.read(tmp_path, "one").file == tmp_path / "shadow"
