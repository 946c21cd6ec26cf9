# SPDX-License-Identifier: GPL-2.0-or-later
"""notices/ended/: transitions into a final state of which nobody was told yet, an empty file `ID~SEQ` each.

Noted before the record has it, so that a crash can leave one too many (who delivers asks the record), never one too
few. Where notices/ is not there nobody wants to be told, and nothing is noted. A leaf.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imgcore import atomic

__all__ = ["begin", "forget", "noted", "place", "wanted", "note"]


def place(root: Path) -> Path:
    """Where the spool at `root` keeps notices."""
    return root / "notices"


def begin(root: Path) -> None:
    """From now on the ends of jobs of this spool are noted. Raises SpoolError."""
    atomic.make_directory(_ended(root))


def wanted(root: Path) -> bool:
    """Whether the ends of jobs of this spool are noted."""
    return _ended(root).is_dir()


def note(root: Path, image_id: str, seq: int) -> None:
    """Note that the transition `seq` of the job ends it. Raises SpoolError."""
    path = _ended(root) / f"{image_id}~{seq}"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except FileNotFoundError:
        return
    except OSError as error:
        raise atomic.failed(path, error) from error
    atomic.sync_directory(path.parent)


def noted(root: Path) -> list[tuple[str, int]]:
    """What is noted, as id and number of the transition."""
    try:
        with os.scandir(_ended(root)) as listing:
            found = [each.name.rpartition("~") for each in listing]
    except OSError as error:
        raise atomic.failed(_ended(root), error, "read") from error
    return sorted((image_id, int(seq)) for image_id, _, seq in found if image_id and seq.isdecimal())


def forget(root: Path, image_id: str, seq: int) -> None:
    """Remove what was noted; should that fail, it is told twice."""
    with contextlib.suppress(OSError):
        (_ended(root) / f"{image_id}~{seq}").unlink()


def _ended(root: Path) -> Path:
    return place(root) / "ended"
