# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialect of Mer's, Nemo's and Sailfish's kickstarter: sections that any image or section may `Inherit`.

All YAML files of all ExternalConfigs are one description. A later value replaces an earlier one; of lists, what
stands nearest to the image comes first. Scripts and partitions are named by their path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter import schema
from imgcore.kickstarter.description import Description, add_repositories, inherited
from imgcore.kickstarter.files import Files, Source
from imgcore.kickstarter.mistakes import Notes, Spot
from imgcore.kickstarter.tree import Node

__all__ = ["load", "merge", "options", "part", "replacements", "script", "url"]

_LISTS = ("Configurations", "Repositories", "ExternalConfigs")
_SETTINGS = ("RepositoryURLVariables", "RepositoryOptions")
#: A script may be meant to run twice; nothing else can be meant twice.
_SCRIPTS = ("PreScripts", "PostScripts", "NoChrootScripts", "PackScripts")


def load(
    main: Source, tree: Node, files: Files, external: Iterable[Path], repos: Iterable[Path], notes: Notes
) -> Description:
    """Everything that `main` and its ExternalConfigs, the YAML files of `external` and those of `repos` say."""
    return _Reading(main, files, notes).all(tree, external, repos)


class _Reading:
    def __init__(self, main: Source, files: Files, notes: Notes) -> None:
        self._files, self._notes = files, notes
        self._bases = (main.path.parent, *files.roots)
        self._read = {main.path}
        self._sections: dict[str, Spot] = {}
        self._external = False
        self._made = Description(places=list(dict.fromkeys(self._bases)))

    def all(self, tree: Node, external: Iterable[Path], repos: Iterable[Path]) -> Description:
        """The description."""
        external = list(external)
        self._external = bool(external)
        directories = self._enter(tree, self._bases)
        for path in repos:
            directories.extend(self._file(path, False))
        for path in external:
            directory = self._files.directory(path)
            if directory is not None:
                directories.append((directory, True))
        while directories:
            directory, images = directories.pop(0)
            self._made.places.append(directory)
            for path in self._files.listing(directory):
                if path not in self._read:
                    self._read.add(path)
                    directories.extend(self._file(path, images))
        return self._made

    def _file(self, path: Path, images: bool) -> list[tuple[Path, bool]]:
        source = self._files.read(path, Spot(str(path)))
        tree = self._files.tree(source) if source is not None else None
        return self._enter(tree, (*self._bases, path.parent), images) if tree is not None else []

    def _enter(self, tree: Node, bases: Iterable[Path], images: bool = True) -> list[tuple[Path, bool]]:
        """Enter what a file says; the directories that it names, and whether their images are meant too."""
        if schema.check(tree, "mer", "document", self._notes):
            self._add(tree, images)
        # Where something is wrong here, what is wrong there is told as well.
        external = tree.entries.get("ExternalConfigs")
        named = external.items if external else ()
        return [found for each in named if each and (found := self._found(each, bases)) is not None]

    def _add(self, tree: Node, images: bool) -> None:
        made = self._made
        listed = {key: tree.entries[key] for key in _LISTS if key in tree.entries}
        if "Configurations" in listed and images:
            # What is in an external file stands before what names it.
            made.configurations[:0] = listed["Configurations"].items
        add_repositories(made.repositories, listed.get("Repositories"), self._notes)
        for key, value in tree.entries.items():
            if key in _SETTINGS:
                made.settings.setdefault(key, value)
            elif key not in _LISTS:
                self._section(key, value, tree.keys[key])

    def _section(self, name: str, value: Node, spot: Spot) -> None:
        there = self._sections.setdefault(name, spot)
        self._made.sections.setdefault(name, value)
        if there is not spot:
            what = f"the section is in {there.file}, line {there.line}, too, and that one is used"
            self._notes.warning(spot, what, key=shown(name))

    def _found(self, name: Node, bases: Iterable[Path]) -> tuple[Path, bool] | None:
        for base in bases:
            directory = self._files.directory(base / name.text)
            if directory is not None:
                return directory, True
        if self._external and Path(name.text).is_absolute():
            # Where a package would install what was given by hand.
            return None
        # Who works on such files has them beside each other.
        self._notes.warning(
            name.spot, f"{shown(name.text)} is not there; the files beside this one are read instead",
            "give it with --external", "ExternalConfigs",
        )  # fmt: skip
        return self._bases[0], False


def merge(configuration: Node, description: Description, notes: Notes) -> dict[str, Node]:
    """The values of an image with all that it inherits."""
    chain = [*inherited(configuration.entries.get("Inherit"), description.sections, notes), configuration]
    made: dict[str, Node] = {}
    for section in description.chain(chain):
        for key, value in section.entries.items():
            there = made.get(key)
            if there is None or value.kind not in ("array", "object") or there.kind != value.kind:
                keeps = there is not None and there.kind in ("array", "object") and value.kind == "null"
                made[key] = there if keeps and there is not None else value
            elif value.kind == "object":
                made[key] = replace(value, entries={**there.entries, **value.entries})
            else:
                made[key] = replace(value, items=(*value.items, *there.items))
    for key, value in made.items():
        if value.kind == "array" and key not in _SCRIPTS:
            made[key] = replace(value, items=tuple({each.text: each for each in value.items}.values()))
    for key, value in description.settings.items():
        if key not in made and key != "RepositoryURLVariables":
            made[key] = value
    return made


def replacements(values: Mapping[str, Node], description: Description) -> list[tuple[str, str]]:
    """What is replaced in repository URLs, and by what, in this order."""
    found = []
    arch = values.get("RepositoryArchitecture") or values.get("Architecture")
    if arch:
        found.append(("@ARCH@", arch.text))
    for variables in (values.get("RepositoryURLVariables"), description.settings.get("RepositoryURLVariables")):
        found.extend((key, value.text) for key, value in (variables.entries if variables else {}).items() if key)
    return found


def url(repository: Node, values: Mapping[str, Node]) -> Node | None:
    """The URL of a repository for an image; None where there is none for its ImageType."""
    kind = values.get("ImageType")
    return (repository.entries.get(f"Url-{kind.text}") if kind else None) or repository.entries.get("Url") or None


def script(name: Node, key: str, description: Description, files: Files) -> Source | None:
    """A script by what a list of scripts says."""
    return files.find(name.text, description.places, name.spot, key, "script")


def part(name: Node, description: Description, files: Files) -> Source | None:
    """The file with the part lines."""
    return files.find(name.text, description.places, name.spot, "Part")


def options(repository: Node, values: Mapping[str, Node]) -> str:
    """The options of a repo line: the image's, and the repository's behind them."""
    given = (values.get("RepositoryOptions"), repository.entries.get("Options"))
    return " ".join(each.text for each in given if each)
