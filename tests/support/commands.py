# SPDX-License-Identifier: GPL-2.0-or-later
"""An environment whose PATH has this machine's commands, some of them missing or replaced."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

__all__ = ["environment"]


def environment(
    place: Path, *, without: Collection[str] = (), instead: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Fill the new directory `place` with links to commands and with the scripts `instead` (name to text)."""
    place.mkdir()
    for directory in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for command in Path(directory).iterdir():
            link = place / command.name
            if command.name not in without and not link.is_symlink():
                link.symlink_to(command)
    for name, text in (instead or {}).items():
        (place / name).unlink(missing_ok=True)
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return {**os.environ, "PATH": str(place)}
