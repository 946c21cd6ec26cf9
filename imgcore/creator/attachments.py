# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies what %attachment names out of the finished root tree.

An attachment is a path glob in the image, or the name of an installed package, all of whose files are meant.
Each file is delivered under its own name; two of the same name get the image's path into theirs.
"""

from __future__ import annotations

import fnmatch
import posixpath
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from imgcore.creator.build import Build
from imgcore.creator.tree import Tree

__all__ = ["copy_attachments"]


def copy_attachments(build: Build, tree: Tree, files: Mapping[str, Iterable[str]]) -> list[str]:
    """Copy what %attachment names into `out`; `files` has the paths of each package. Returns the names."""
    names: list[str] = []
    for attachment in build.plan.attachments:
        if attachment.name.startswith("/"):
            found = _glob(tree, attachment.name)
            missing = f"no file of the image matches the attachment {attachment.name}"
        elif attachment.name in files:
            found = [path for path in files[attachment.name] if _is_file(tree, path)]
            missing = f"package {attachment.name} has no files to attach"
        else:
            found = []
            missing = f"the attachment {attachment.name} is neither a path nor an installed package"
        if not found:
            build.warn(missing, attachment.line)
        for path in found:
            name = _free_name(build.place.out, path)
            _copy(tree.real(path), build.place.out / name)
            names.append(name)
    return names


def _is_file(tree: Tree, path: str) -> bool:
    real = tree.real(path)
    return real.exists() and stat.S_ISREG(real.stat().st_mode)


def _glob(tree: Tree, pattern: str) -> list[str]:
    """The files of the image that `pattern` means; a directory means the files in it."""
    paths = [""]
    for part in [part for part in pattern.split("/") if part]:
        if any(sign in part for sign in "*?["):
            paths = [
                f"{path}/{name}"
                for path in paths
                for name in tree.names(path or "/")
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
        else:
            paths = [f"{path}/{part}" for path in paths if tree.has(f"{path}/{part}")]
    found = []
    for path in paths:
        if tree.real(path).is_dir():
            found += [f"{path}/{name}" for name in tree.names(path) if _is_file(tree, f"{path}/{name}")]
        elif _is_file(tree, path):
            found.append(path)
    return found


def _free_name(out: Path, path: str) -> str:
    name = posixpath.basename(path)
    return path.strip("/").replace("/", "-") if (out / name).exists() else name


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o644)
