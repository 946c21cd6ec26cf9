# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind a configuration: are its directories there, and its secrets closed to others?

Looks only; who looks is who runs it, so what a service may do is asked as its user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imgcore.config import Reading, Setting
from imgcore.inifile import Finding

__all__ = ["AS_SERVICE", "examine", "exposed", "missing"]

#: What to do where it is another user who has to read or write.
AS_SERVICE = "look as the user who needs it: sudo -u imager img config check"

#: Written by whoever builds and records.
_WRITTEN = {("imager", name) for name in ("spool", "base_dir", "cache", "report")}
_READ = {("imager", "ksstore"), ("notify", "hooks"), ("mail", "template")}
_SECRETS = ("password_file", "secret_file", "credentials")


def examine(reading: Reading) -> Iterator[Finding]:
    """What is wrong with the places that a configuration names."""
    for setting in reading.settings():
        if not isinstance(setting.value, Path):
            continue
        place, of = setting.value, (setting.section, setting.option)
        if of in _WRITTEN:
            told = _written(place)
        elif setting.origin == "default":
            continue
        elif setting.option in _SECRETS:
            told = exposed(place, stat.S_IRWXG | stat.S_IRWXO)
        elif of in _READ:
            told = _read(place)
        else:
            continue
        if told:
            yield _finding(setting, *told)


def exposed(place: Path, closed: int) -> tuple[str, str, bool] | None:
    """What is wrong with a file that has a secret, what to do, whether it is an error; None: nothing.

    `closed` has the bits of its mode that must not be set.
    """
    try:
        status = place.stat()
    except PermissionError:
        return f"{place} is not for you to read", AS_SERVICE, False
    except OSError as error:
        return f"{place} cannot be read: {error.strerror}", "make it, or correct its owner", True
    if not stat.S_ISREG(status.st_mode):
        return f"{place} is not a file", "name another", True
    if status.st_mode & closed:
        others = "o=" if closed == stat.S_IRWXO else "go="
        return f"{place} can be read by others", f"chmod {others} {place}", True
    if not os.access(place, os.R_OK):
        return f"{place} is not for you to read", AS_SERVICE, False
    return None


def missing(place: Path) -> bool:
    """Whether it is not there; what lies below a directory that is closed to us may be."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _written(place: Path) -> tuple[str, str, bool] | None:
    there = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not os.path.isdir(there):  # noqa: PTH112 - never raises
        return f"{there} is not a directory", "choose another place", True
    if not os.access(there, os.W_OK | os.X_OK):
        lacking = "" if there == place else f"{place} is not there, and "
        return (
            f"{lacking}{there} cannot be written",
            f"choose another place, correct its owner, or {AS_SERVICE}",
            True,
        )
    return None


def _read(place: Path) -> tuple[str, str, bool] | None:
    if missing(place):
        return f"{place} is not there", "make it, or remove the line", False
    if not os.access(place, os.R_OK):
        return f"{place} cannot be read", "correct its owner or rights", True
    return None


def _finding(setting: Setting, message: str, remedy: str, serious: bool) -> Finding:
    where = setting.file or Path(f"({setting.origin})")
    text = f"[{setting.section}] {setting.option}: {message}"
    return Finding(where, text, remedy, serious, setting.line, setting.section, setting.option)
