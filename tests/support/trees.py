# SPDX-License-Identifier: GPL-2.0-or-later
"""A root tree in a temporary directory and a Build around it, for tests of what writes into the tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imgcore.creator.build import Build
from imgcore.creator.main import workplace_below
from imgcore.creator.plan import Plan, System
from imgcore.creator.tree import Tree

__all__ = ["ACCOUNTS", "a_build", "link"]

EPOCH = 1_700_000_000
#: The files of the package setup, as small as they can be.
ACCOUNTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/shadow": "root:!:18000:0:99999:7:::\n",
    "/etc/group": "root:x:0:\naudio:x:63:\nvideo:x:39:\n",
    "/etc/gshadow": "root:::\naudio:::\nvideo:::\n",
}


def link(target: str) -> str:
    """What to give as a file's content to get a link."""
    return f"-> {target}"


def a_build(top: Path, files: Mapping[str, str], system: System | None = None, **plan: object) -> tuple[Build, Tree]:
    """A Build whose tree has `files`; what it says is forgotten, its warnings are kept."""
    place = workplace_below(top)
    for folder in (place.tree, place.out, place.tmp, place.home):
        folder.mkdir(parents=True)
    tree = Tree(place.tree)
    for path, text in files.items():
        if text.startswith("-> "):
            tree.link(path, text.removeprefix("-> "))
        else:
            tree.write(path, text)
    made = Plan("img", "x86_64", "fs", EPOCH, system=system or System(), **plan)  # type: ignore[arg-type]
    return Build(made, place, lambda _progress: None, lambda _line: None), tree
