# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories of this machine that a tool reads from (local repositories), and where its sandbox shows them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imgcore.executor import READABLE

__all__ = ["Shown"]


class Shown:
    """The directories so far, for `Task.readable`."""

    def __init__(self) -> None:
        self.directories: list[Path] = []

    def inside(self, url: str, *, whole: bool) -> str:
        """The URL by which the sandbox finds what is at a file: URL; `whole`: it is a directory, not a file."""
        if not url.startswith("file:"):
            return url
        path = Path(unquote(urlsplit(url).path))
        directory = path if whole else path.parent
        if not directory.is_dir():
            return url  # the tool says that it is not there
        if directory not in self.directories:
            self.directories.append(directory)
        place = f"{READABLE}/{self.directories.index(directory)}"
        return "file://" + quote(place if whole else f"{place}/{path.name}")
