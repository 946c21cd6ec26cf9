# SPDX-License-Identifier: GPL-2.0-or-later
"""The outside commands that image making uses, run so that time, place and locale leave no trace.

One call, `use`: it gives the command an environment of its own (UTC, C locale, the plan's time instead of
now) and turns a command that is not installed into an error that names the Debian package to install.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from imgcore import run
from imgcore.errors import BuildError

__all__ = ["PACKAGES", "environment", "find", "missing", "use"]

#: Which Debian package brings which command.
PACKAGES = {
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmd": "mtools",
    "mcopy": "mtools",
    "mkfs.btrfs": "btrfs-progs",
    "grub-mkimage": "grub-common",
    "xz": "xz-utils",
    "zstd": "zstd",
}

_MOST_WORDS = 30
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(epoch: int) -> dict[str, str]:
    """What every command gets, and all it gets."""
    return {
        "PATH": _search_path(),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def find(command: str) -> Path | None:
    """Where `command` is installed, or None."""
    found = shutil.which(command, path=_search_path())
    return Path(found) if found else None


def missing(command: str, what_for: str) -> BuildError:
    """The error for a `command` that is not installed."""
    package = PACKAGES.get(command, command)
    return BuildError(f"{command} is not installed; it {what_for}", f"apt-get install {package}", "tool-missing")


def use(
    argv: Sequence[str], epoch: int, what_for: str, extra: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run `argv` as if it were `epoch`, and return its output. `what_for` says why, should it be missing."""
    if find(argv[0]) is None:
        raise missing(argv[0], what_for)
    try:
        return run.capture(argv, environment={**environment(epoch), **(extra or {})}, cwd=cwd)
    except run.CommandFailed as failure:
        if len(argv) <= _MOST_WORDS:
            raise
        # Hundreds of file names tell nobody anything.
        raise run.CommandFailed([*argv[:_MOST_WORDS], "..."], failure.status, failure.tail) from None


def _search_path() -> str:
    # An ordinary user's PATH often lacks the sbin folders, where most of these commands are.
    return ":".join(part for part in (os.environ.get("PATH", ""), _PATH) if part)
