# SPDX-License-Identifier: GPL-2.0-or-later
"""What the files of a description say, before sections are inherited: the border between YAML and its dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from imgcore.errors import InputError
from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.files import Files, Source
from imgcore.kickstarter.mistakes import Notes, Spot, near
from imgcore.kickstarter.tree import Node

__all__ = ["Description", "Image", "Repository", "Rules", "add_repositories", "inherited"]

MOST_INHERITED = 200
MOST_VALUES = 2_000_000


@dataclass
class Description:
    """All that was read. Every node has passed the dialect's schema."""

    configurations: list[Node] = field(default_factory=list)
    sections: dict[str, Node] = field(default_factory=dict)
    repositories: dict[str, Node] = field(default_factory=dict)
    #: Top-level settings that hold for every image.
    settings: dict[str, Node] = field(default_factory=dict)
    #: Where scripts and partitions are looked for, in this order.
    places: list[Path] = field(default_factory=list)
    _values: int = 0

    def chain(self, sections: list[Node]) -> list[Node]:
        """The sections that an image is made of; raises InputError where all images together are too large."""
        self._values += sum(each.size for each in sections)
        if self._values > MOST_VALUES:
            raise InputError(f"the images have more than {MOST_VALUES} values together", "split the description")
        return sections


@dataclass(frozen=True)
class Repository:
    """A repo line to be."""

    name: str
    url: str
    options: str
    spot: Spot


@dataclass(frozen=True)
class Image:
    """One image with all that it inherits."""

    name: str
    file_name: str
    spot: Spot
    values: Mapping[str, Node]
    repositories: tuple[Repository, ...]
    part: Source | None
    #: Section header (`%post --nochroot`) to its scripts, in their order.
    scripts: Mapping[str, tuple[Source, ...]]


class Rules(Protocol):
    """What a dialect's module has."""

    def load(
        self, main: Source, tree: Node, files: Files, external: Iterable[Path], repos: Iterable[Path], notes: Notes
    ) -> Description:
        """Everything that the files say."""

    def merge(self, configuration: Node, description: Description, notes: Notes) -> dict[str, Node]:
        """The values of an image with all that it inherits."""

    def replacements(self, values: Mapping[str, Node], description: Description) -> list[tuple[str, str]]:
        """What is replaced in repository URLs, and by what, in this order."""

    def url(self, repository: Node, values: Mapping[str, Node]) -> Node | None:
        """The URL of a repository for an image; None where it has none for it."""

    def options(self, repository: Node, values: Mapping[str, Node]) -> str:
        """The options of a repo line."""

    def script(self, name: Node, key: str, description: Description, files: Files) -> Source | None:
        """A script by what the list `key` says; None where it is not there, which is noted."""

    def part(self, name: Node, description: Description, files: Files) -> Source | None:
        """The file with the part lines; None where it is not there, which is noted."""


def add_repositories(found: dict[str, Node], listed: Node | None, notes: Notes) -> None:
    """Enter the repositories of a list. Of two with one name the first is used; if they differ, that is noted."""
    for each in listed.items if listed else ():
        name = each.entries["Name"].text.strip()
        there = found.setdefault(name, each)
        if _said(there) != _said(each):
            what = f"repository {shown(name)} is in {there.spot.file}, line {there.spot.line}, and that one is used"
            notes.warning(each.spot, what, key="Repositories")


def _said(repository: Node) -> dict[str, str]:
    return {key: value.text for key, value in repository.entries.items()}


def inherited(names: Node | None, sections: Mapping[str, Node], notes: Notes) -> list[Node]:
    """The sections that `names` (the value of Inherit) means: each once, and behind those that it inherits itself."""
    found: dict[str, Node] = {}
    _inherit(names.items if names else (), sections, found, set(), notes)
    if names and len(found) > MOST_INHERITED:
        notes.mistake(names.spot, f"more than {MOST_INHERITED} sections are inherited", key="Inherit")
        return []
    return list(found.values())


def _inherit(
    names: Iterable[Node], sections: Mapping[str, Node], found: dict[str, Node], seen: set[str], notes: Notes
) -> None:
    for each in names:
        if not each or each.text in seen or len(seen) > MOST_INHERITED:
            continue
        seen.add(each.text)
        section = sections.get(each.text)
        if section is None:
            what = f"there is no section {shown(each.text)}{near(each.text, sections)}"
            notes.missing(each.spot, what, "give the directory that has it with --external", "Inherit")
            continue
        further = section.entries.get("Inherit")
        _inherit(further.items if further else (), sections, found, seen, notes)
        found[each.text] = section
