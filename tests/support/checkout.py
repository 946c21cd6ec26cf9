# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the checkout as somebody else would get it: what git knows, and what it would take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["ROOT", "copy", "files"]

ROOT = Path(__file__).parents[2]


def files() -> list[str]:
    """The relative paths."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return sorted(name for name in names if name and (ROOT / name).exists())


def copy(target: Path) -> Path:
    """Copy it to `target`, which is not there yet."""
    for name in files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target
