# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest

from imgcore.creator.packages.rpmdb import database_path, normalise
from imgcore.errors import BuildError
from tests.support.trees import EPOCH, a_build


def header(installed: int, name: bytes = b"lib\0") -> bytes:
    """A header blob with NAME, INSTALLTIME and a number that is neither."""
    entries = [(1000, 6, 0, 1), (1008, 4, 4, 1), (1009, 4, 8, 1)]
    index = b"".join(struct.pack(">IIiI", *entry) for entry in entries)
    data = name + struct.pack(">II", installed, 77)
    return struct.pack(">II", len(entries), len(data)) + index + data


def write(database: Path, installed: int) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.execute("CREATE TABLE Installtid (key BLOB NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (header(installed),))
    connection.execute("INSERT INTO Installtid VALUES (?, 1, 0)", (struct.pack("=I", installed),))
    connection.commit()
    connection.close()


def normalised(top: Path, installed: int) -> Path:
    build, tree = a_build(top, {"/var/lib/rpm/.rpm.lock": "", "/var/lib/rpm/__db.001": ""})
    write(tree.real("/var/lib/rpm/rpmdb.sqlite"), installed)
    normalise(build, tree, "/var/lib/rpm")
    return tree.real("/var/lib/rpm")


def test_databases_that_differ_in_times_alone_become_the_same_bytes(tmp_path: Path) -> None:
    first, second = (normalised(tmp_path / str(number), 1_600_000_000 + number) for number in (1, 2))
    assert (first / "rpmdb.sqlite").read_bytes() == (second / "rpmdb.sqlite").read_bytes()
    assert [path.name for path in first.iterdir()] == ["rpmdb.sqlite"]


def test_only_the_install_times_are_changed(tmp_path: Path) -> None:
    folder = normalised(tmp_path, 1_600_000_000)
    connection = sqlite3.connect(folder / "rpmdb.sqlite")
    assert connection.execute("SELECT blob FROM Packages").fetchall() == [(header(EPOCH),)]
    assert connection.execute("SELECT key FROM Installtid").fetchall() == [(struct.pack("=I", EPOCH),)]
    connection.close()


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, {"/var/lib/rpm/rpmdb.sqlite": "this is no database\n" * 300})
    with pytest.raises(BuildError, match=r"the image's package database /var/lib/rpm/rpmdb\.sqlite cannot be read"):
        normalise(build, tree, "/var/lib/rpm")


@pytest.mark.parametrize(
    ("folders", "names", "expected"),
    [
        (["/usr/lib/sysimage/"], ["rpm"], "/usr/lib/sysimage/rpm"),
        (["/usr/lib/sysimage/rpm/"], ["x"], "/usr/lib/sysimage/rpm"),
        (["/usr/lib/sysimage/"], ["dnf"], "/var/lib/rpm"),
        (["/usr/lib/"], ["rpm"], "/var/lib/rpm"),
    ],
)
def test_the_packages_tell_where_the_database_belongs(
    tmp_path: Path, folders: list[str], names: list[str], expected: str
) -> None:
    build, _ = a_build(tmp_path, {})
    head = {
        "dirnames": folders,
        "basenames": names,
        "filenames": [f + n for f, n in zip(folders, names, strict=True)],
    }
    assert database_path(build, [head]) == expected
