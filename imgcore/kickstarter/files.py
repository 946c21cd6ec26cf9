# SPDX-License-Identifier: GPL-2.0-or-later
"""The files beside the YAML: found and read inside of the allowed directories, never outside, also not through links.

The first directory is the main file's (or one above it); others are only what a person names. Number and size of
all that is read are bounded. A relative name is looked for in the places that a dialect says, in their order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.errors import InputError
from imgcore.kickstart import decode
from imgcore.kickstart.beneath import content
from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.mistakes import Notes, Spot
from imgcore.kickstarter.tree import MOST_BYTES, MOST_NODES, Node, parse

__all__ = ["Files", "Source"]

MOST_FILES = 1000
MOST_TOTAL = 16 * 2**20
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """A file that was read."""

    #: As a person gave it, for messages; and relative to the directory it is in, for the kickstart.
    shown: str
    name: str
    path: Path
    text: str
    #: The first digits of its SHA-256.
    digest: str


class Files:
    """Reads files inside `roots`, each of them once."""

    def __init__(self, roots: Sequence[Path], notes: Notes) -> None:
        self.roots = tuple(roots)
        self._notes = notes
        self._read: dict[Path, Source | None] = {}
        self._shown: dict[str, Source] = {}
        self._total = 0
        self._nodes = MOST_NODES

    def find(self, name: str, places: Iterable[Path], spot: Spot, key: str, what: str = "file") -> Source | None:
        """The file `name` in the first of `places` that has it; where none has, that is noted at `spot`."""
        if not name or Path(name).is_absolute() or "\0" in name:
            self._notes.mistake(spot, f"{shown(name)} is not the relative path of a file", key=key)
            return None
        outside = False
        for place in dict.fromkeys(places):
            if self.has(place / name):
                source = self.read(place / name, spot, key)
                if source is not None:
                    return source
                outside = True
        if not outside:
            self._notes.missing(spot, f"the {what} {shown(name)} is not there", "add it, or correct its name", key)
        return None

    @staticmethod
    def has(path: Path) -> bool:
        """Whether there is a file of that name, wherever it leads."""
        try:
            return path.is_file()
        except (OSError, ValueError):
            return False

    def read(self, path: Path, spot: Spot, key: str = "", most: int = MOST_BYTES) -> Source | None:
        """The text of a file; None where it cannot be had, which is noted at `spot`."""
        for root in self.roots:
            relative = _real(root, path)
            if relative is not None:
                place = root / relative
                if place not in self._read:
                    self._read[place] = self._content(root, relative, spot, key, most)
                return self._read[place]
        remedy = "name its directory with --external, or copy it"
        self._notes.mistake(spot, f"{shown(str(path))} is outside of {self.roots[0]}", remedy, key)
        return None

    def tree(self, source: Source) -> Node | None:
        """What a YAML file says; None after a mistake that was noted."""
        node = parse(source.text, source.shown, self._notes, self._nodes)
        self._nodes -= node.size if node is not None else 0
        if node is not None and node.kind != "object":
            self._notes.mistake(node.spot, "a file with KEY: VALUE lines is expected")
            return None
        return node

    def directory(self, path: Path) -> Path | None:
        """The directory where it is inside of a root; None where it is not."""
        for root in self.roots:
            relative = _real(root, path)
            try:
                if relative is not None and (root / relative).is_dir():
                    return root / relative
            except OSError:
                continue
        return None

    def listing(self, directory: Path) -> list[Path]:
        """The YAML files of a directory, in the order of their names."""
        try:
            return sorted(each for each in directory.iterdir() if each.suffix in _YAML and each.name[0] != ".")
        except OSError:
            return []

    def source(self, file: str) -> Source | None:
        """The file that messages call so."""
        return self._shown.get(file)

    def _content(self, root: Path, relative: Path, spot: Spot, key: str, most: int) -> Source | None:
        called = str(root / relative)
        try:
            raw = content(root, relative, most + 1)
            if len(raw) > most:
                raise InputError(f"{shown(called)} has more than {most} bytes")
            self._total += len(raw)
            if len(self._read) >= MOST_FILES or self._total > MOST_TOTAL:
                raise InputError(f"more than {MOST_FILES} files, or {MOST_TOTAL} bytes")
            text = decode(raw, called)
        except InputError as error:
            self._notes.mistake(spot, error.message, error.remedy, key)
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._notes.mistake(spot, f"{shown(called)} cannot be read: {reason}", "", key)
            return None
        digest = hashlib.sha256(raw).hexdigest()[:12]
        found = Source(called, relative.as_posix(), root / relative, text, digest)
        self._shown[called] = found
        return found


def _real(root: Path, path: Path) -> Path | None:
    """Where `path` really is, relative to the real `root`; None if that is not below it."""
    top, found = os.path.realpath(root), Path(os.path.realpath(path))
    return found.relative_to(top) if found.is_relative_to(top) else None
