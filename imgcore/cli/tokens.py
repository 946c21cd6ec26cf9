# SPDX-License-Identifier: GPL-2.0-or-later
"""The values of a kickstart's tokens that a file beside it keeps, for what the command line does not say.

image.ks.tokens     a line a token, NAME:VALUE; empty lines and those that begin with # are for people
"""

from __future__ import annotations

from pathlib import Path

from imgcore import names
from imgcore.errors import InputError

__all__ = ["beside"]

_MOST_BYTES = 1 << 16


def beside(ks: Path) -> dict[str, str]:
    """The tokens of the file beside the kickstart `ks`, where there is one. Raises InputError with the line."""
    path = ks.with_name(f"{ks.name}.tokens")
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found |= names.tokenmap(line.strip())
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error.message}", error.remedy) from error
    return found


def _lines(path: Path) -> list[str]:
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    # Beside `-`, a pipe or what is not there nothing is looked for: the kickstart itself is what is complained about.
    if not there:
        return []
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "correct or remove it") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is not UTF-8 text", "correct or remove it") from error
