# SPDX-License-Identifier: GPL-2.0-or-later
"""A base image of Debian, made by debootstrap(8) in namespaces of its own: what it mounts and starts goes with us."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgcore import names
from imgcore.errors import BuildError, InputError
from imgcore.executor import kernel
from imgcore.executor.vm import disk
from imgcore.run import CommandFailed, stream

__all__ = ["make", "recipe"]

_MIRROR = "http://deb.debian.org/debian"
#: All that it starts ends with it, and it ends with us.
_ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


def recipe(suite: str, mirror: str, packages: tuple[str, ...]) -> dict[str, Any]:
    """What `make` needs to know, checked. Raises InputError."""
    try:
        mirror = names.repository_url(mirror or _MIRROR)
    except InputError as error:
        raise InputError(f"option --mirror: {error.message.partition(': ')[2]}", error.remedy) from error
    return {
        "how": "debootstrap",
        "suite": names.word("suite", suite),
        "mirror": mirror,
        "packages": [names.package(each) for each in packages],
    }


def make(recipe: Mapping[str, Any], place: Path, on_line: Callable[[str], None]) -> Path:
    """The file of the base that the recipe means, below `place`. Raises InputError, BuildError."""
    if os.geteuid():
        raise InputError("debootstrap needs root", "use sudo, or make the base of a kickstart")
    if shutil.which("debootstrap", path=disk.ENVIRONMENT["PATH"]) is None:
        raise BuildError("debootstrap is not there", "apt install debootstrap", "tool-missing")
    tree = place / "tree"
    options = ["--variant=minbase"]
    if recipe["packages"]:
        options.append(f"--include={','.join(recipe['packages'])}")
    try:
        stream(
            [*_ALONE, "debootstrap", *options, recipe["suite"], str(tree), recipe["mirror"]],
            environment=disk.ENVIRONMENT,
            on_line=on_line,
            preexec=lambda: kernel.die_with_parent(signal.SIGKILL),
        )
    except CommandFailed as error:
        said = next((line for line in reversed(error.tail) if line.startswith("E: ")), error.tail[-1:])
        reason = str(said).removeprefix("E: ")
        raise BuildError(f"debootstrap failed: {reason}", "check suite, mirror and packages") from error
    for each in (tree / "var/cache/apt/archives").glob("*.deb"):
        each.unlink()
    file = place / "disk"
    disk.of_tree(tree, file, on_line)
    return file
