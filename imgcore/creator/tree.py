# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the image's root tree, reached as the image itself would reach them.

A link in the tree, absolute or with `..`, leads into the tree and never out of it: what packages and scripts put
there is not trusted to name files of the machine that builds (see rooted.py).
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path

from imgcore.creator import rooted

__all__ = ["Tree"]


class Tree:
    """The directory that becomes the image's /. Paths are absolute paths of the image, as text."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def real(self, path: str, *, follow: bool = True) -> Path:
        """Where `path` is on this machine, links followed inside the tree (`follow`: the last one too).

        What does not exist stays as it is named. Raises BuildError for links that go round.
        """
        return rooted.resolve(self.top, path, follow_last=follow)

    def has(self, *paths: str) -> bool:
        """Whether one of `paths` exists."""
        return any(self.real(path).exists() for path in paths)

    def first(self, *paths: str) -> str | None:
        """The first of `paths` that exists."""
        return next((path for path in paths if self.has(path)), None)

    def has_link(self, path: str) -> bool:
        """Whether there is a link at `path`, dangling or not."""
        return self.real(path, follow=False).is_symlink()

    def is_program(self, path: str) -> bool:
        """Whether `path` is a file that may be executed."""
        real = self.real(path)
        return real.is_file() and bool(real.stat().st_mode & 0o111)

    def names(self, path: str) -> list[str]:
        """The sorted names in the directory `path`; none where it is not there."""
        real = self.real(path)
        return sorted(entry.name for entry in real.iterdir()) if real.is_dir() else []

    def read(self, path: str) -> str:
        """The text of a file; empty where there is none. Bytes that are no UTF-8 survive `write`."""
        real = self.real(path)
        return real.read_text("utf-8", "surrogateescape") if real.is_file() else ""

    def lines(self, path: str) -> list[str]:
        """The lines of a file; none where it is not there."""
        return self.read(path).splitlines()

    def write(self, path: str, text: str, mode: int | None = None) -> None:
        """Replace the file's content; `mode` None keeps what it has, or is 0644 for a new file."""
        real = self.real(path)
        self.make_directory(posixpath.dirname(path))
        if mode is None:
            mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o644
        # For root a file without write permission (/etc/shadow is 0000 in Fedora) is no obstacle.
        real.write_text(text, "utf-8", "surrogateescape")
        real.chmod(mode)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make the directory and those above it that are missing."""
        real = self.real(path)
        missing = []
        while not real.is_dir():
            missing.append(real)
            real = real.parent
        for each in reversed(missing):
            each.mkdir()
            each.chmod(mode if each == missing[0] else 0o755)

    def link(self, path: str, target: str) -> None:
        """Make `path` a link to `target`, whatever it was before (but a directory)."""
        real = self.real(path, follow=False)
        self.make_directory(posixpath.dirname(path))
        real.unlink(missing_ok=True)
        real.symlink_to(target)

    def remove(self, path: str) -> None:
        """Remove a file or link; nothing happens where there is none."""
        self.real(path, follow=False).unlink(missing_ok=True)

    def walk(self) -> Iterator[os.DirEntry[str]]:
        """Every entry below the top, a directory before what is in it, in the order of names."""
        waiting = [str(self.top)]
        while waiting:
            with os.scandir(waiting.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            yield from entries
            waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
