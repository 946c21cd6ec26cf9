# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths inside a root tree that is not the running system's root.

A symbolic link in the tree is followed as the image's own kernel will follow it: from the tree's root, never
out of it. Whatever reads or writes a file of the tree by an absolute name goes through here (see tree.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from imgcore.errors import BuildError

__all__ = ["resolve"]

_MOST_LINKS = 40


def resolve(tree: Path, path: str, *, follow_last: bool = True) -> Path:
    """Where `path` (absolute in the image) lies below `tree`; the file need not exist."""
    todo = [part for part in path.split("/") if part not in ("", ".")]
    at: list[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            at = at[:-1]
            continue
        here = tree.joinpath(*at, part)
        if here.is_symlink() and (todo or follow_last):
            links += 1
            if links > _MOST_LINKS:
                raise BuildError(f"{path} in the root tree goes round in symbolic links", "", "unsupported")
            target = os.readlink(here)  # noqa: PTH115 (a Path would drop what `..` and `/` mean here)
            if target.startswith("/"):
                at = []
            todo = [step for step in target.split("/") if step not in ("", ".")] + todo
        else:
            at.append(part)
    return tree.joinpath(*at)
