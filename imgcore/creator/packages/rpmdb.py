# SPDX-License-Identifier: GPL-2.0-or-later
"""The image's package database: where it belongs, and that it does not tell when or where it was made.

`normalise` sets the install time of every package to the plan's and writes the SQLite file anew in one piece,
without write-ahead log: the same packages give the same bytes. rpm reads and goes on writing it as any other.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable
from typing import Any

from imgcore.creator.build import Build
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError

__all__ = ["database_path", "normalise"]

_OLD_PATH = "/var/lib/rpm"
_NEW_PATH = "/usr/lib/sysimage/rpm"
#: Tags of rpm's headers (rpmtag.h): INSTALLTIME and INSTALLTID, both 32-bit numbers.
_TIMES = (1008, 1128)
_INT32 = 4


def database_path(build: Build, headers: Iterable[Any]) -> str:
    """Where the image's own rpm will look: as the plan says, else as the packages to install say."""
    if build.plan.rpm_dbpath:
        return build.plan.rpm_dbpath
    for header in headers:
        for folder in header["dirnames"]:
            # A directory or link of that name, or anything in it.
            text = folder if isinstance(folder, str) else folder.decode("utf-8", "surrogateescape")
            if text == "/usr/lib/sysimage/" and "rpm" in header["basenames"]:
                return _NEW_PATH
            if text.startswith(f"{_NEW_PATH}/"):
                return _NEW_PATH
    return _OLD_PATH


def normalise(build: Build, tree: Tree, path: str) -> None:
    """Make the database at `path` of the image independent of when it was written."""
    folder = tree.real(path)
    database = folder / "rpmdb.sqlite"
    if not database.is_file():
        return
    fresh = folder / "rpmdb.sqlite.new"
    fresh.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(database, isolation_level=None)
        try:
            _set_times(connection, build.plan.source_date_epoch)
            connection.execute("VACUUM INTO ?", (str(fresh),))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BuildError(
            f"the image's package database {path}/rpmdb.sqlite cannot be read: {error}",
            "a script may have damaged it; see the log",
            "internal",
        ) from error
    fresh.chmod(database.stat().st_mode & 0o7777)
    fresh.replace(database)
    for name in ("rpmdb.sqlite-wal", "rpmdb.sqlite-shm", ".rpm.lock"):
        (folder / name).unlink(missing_ok=True)
    for stale in folder.glob("__db*"):
        stale.unlink()


def _set_times(connection: sqlite3.Connection, epoch: int) -> None:
    connection.execute("BEGIN")
    for number, blob in connection.execute("SELECT hnum, blob FROM Packages ORDER BY hnum").fetchall():
        changed = _with_times(blob, epoch)
        if changed != blob:
            connection.execute("UPDATE Packages SET blob = ? WHERE hnum = ?", (changed, number))
    # Unlike the header, the index has the number in the byte order of the machine.
    connection.execute("UPDATE Installtid SET key = ?", (struct.pack("=I", epoch),))
    connection.execute("COMMIT")


def _with_times(blob: bytes, epoch: int) -> bytes:
    """The header `blob` (index length, data length, index entries, data; all big-endian) with other times."""
    entries, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * entries
    if len(blob) < start + size:
        return blob
    changed = bytearray(blob)
    for number in range(entries):
        tag, kind, offset, count = struct.unpack_from(">IIiI", blob, 8 + 16 * number)
        if tag in _TIMES and kind == _INT32 and count == 1:
            struct.pack_into(">I", changed, start + offset, epoch & 0xFFFFFFFF)
    return bytes(changed)
