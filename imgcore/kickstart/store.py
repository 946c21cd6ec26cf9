# SPDX-License-Identifier: GPL-2.0-or-later
"""The store: a directory of kickstarts that processes name instead of sending them, and that cannot be left."""

from __future__ import annotations

from pathlib import Path

from imgcore import names
from imgcore.errors import InputError
from imgcore.kickstart import beneath
from imgcore.kickstart.decode import MOST_BYTES

__all__ = ["stored"]


def stored(store: Path, relative: object) -> bytes:
    """The kickstart at `relative` in the store. Raises InputError for what leads out of it, or is not there."""
    path = names.inside(store, relative, "ksfile")  # type: ignore[arg-type]  # it refuses what is no text
    try:
        return beneath.content(store, path.relative_to(store.resolve()), MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its place has changed"
        raise InputError(
            f"field ksfile: {names.shown(relative)} cannot be read: {reason}", "see what the store has"
        ) from error
