# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialect of MeeGo's and Tizen's kickstarter: `Default`, then a `Platform`, then the image.

Each YAML file of ExternalConfigs is one image more. Repositories may be in a file of their own. A later value
replaces an earlier one; the lists of packages, groups, repositories and scripts are put behind each other. Scripts
and partitions are named without directory and suffix. `Inherit` works between Default and Platform, as in MeeGo's
community edition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter import schema
from imgcore.kickstarter.description import Description, add_repositories, inherited
from imgcore.kickstarter.files import Files, Source
from imgcore.kickstarter.mistakes import Notes, Spot, near
from imgcore.kickstarter.tree import Node

__all__ = ["load", "merge", "options", "part", "replacements", "script", "url"]

_TOP = ("Configurations", "Repositories", "ExternalConfigs")
_SUMMED = frozenset({"Repos", "Groups", "PreScripts", "PostScripts", "NoChrootScripts", "PackScripts",
                     "RemovePackages", "ExtraPackages"})  # fmt: skip
_SAVED = "--save --debuginfo --source"
_SCRIPTS = ("scripts", "custom/scripts", ".")
_SUFFIXES = {"NoChrootScripts": ".nochroot", "PostScripts": ".post", "PreScripts": ".pre", "PackScripts": ".pack"}
_PARTS = ("partitions", "custom/part", ".")
_REPOSITORIES = "repos.yaml"


def load(
    main: Source, tree: Node, files: Files, external: Iterable[Path], repos: Iterable[Path], notes: Notes
) -> Description:
    """Everything that `main`, its ExternalConfigs, the files of `external` and those of `repos` say."""
    bases = tuple(dict.fromkeys((main.path.parent, *files.roots)))
    made = Description(places=list(bases))
    valid = schema.check(tree, "meego", "document", notes)
    made.sections = {key: value for key, value in tree.entries.items() if key not in _TOP}
    images = tree.entries.get("Configurations")
    made.configurations = list(images.items) if images else []
    # Where something is wrong here, what is wrong there is told as well.
    for directory in _directories(tree.entries.get("ExternalConfigs"), bases, files, external, notes):
        made.configurations.extend(_images(directory, files, notes, {main.path}))
    listed = tree.entries.get("Repositories")
    if valid:
        add_repositories(made.repositories, listed, notes)
    chosen = list(repos)
    if not chosen and not listed:
        chosen = [base / _REPOSITORIES for base in bases if files.has(base / _REPOSITORIES)][:1]
    for path in chosen:
        source = files.read(path, Spot(str(path)))
        found = files.tree(source) if source is not None else None
        if found is not None and schema.check(found, "meego", "repositories", notes):
            add_repositories(made.repositories, found.entries["Repositories"], notes)
    return made


def _directories(
    named: Node | None, bases: Iterable[Path], files: Files, external: Iterable[Path], notes: Notes
) -> list[Path]:
    found = [directory for path in external if (directory := files.directory(path)) is not None]
    for each in named.items if named else ():
        directory = next(filter(None, (files.directory(base / each.text) for base in bases)), None)
        if directory is not None:
            found.append(directory)
        elif each:
            notes.warning(
                each.spot, f"{shown(each.text)} is not there, and so are its images", "give it with --external",
                "ExternalConfigs",
            )  # fmt: skip
    return list(dict.fromkeys(found))


def _images(directory: Path, files: Files, notes: Notes, known: set[Path]) -> list[Node]:
    found = []
    for path in files.listing(directory):
        source = files.read(path, Spot(str(path))) if path not in known else None
        tree = files.tree(source) if source is not None else None
        if tree is None or "Repositories" in tree.entries or "Configurations" in tree.entries:
            continue
        if schema.check(tree, "meego", "configuration", notes):
            found.append(tree)
    return found


def merge(configuration: Node, description: Description, notes: Notes) -> dict[str, Node]:
    """The values of an image with those of Default and its platform."""
    sections = description.sections
    chain = [sections["Default"]] if sections.get("Default") else []
    chain += inherited(configuration.entries.get("Inherit"), sections, notes)
    platform = configuration.entries.get("Platform")
    if platform and platform.text in sections:
        chain.append(sections[platform.text])
    elif platform:
        close = near(platform.text, sections)
        notes.missing(platform.spot, f"there is no platform {shown(platform.text)}{close}", key="Platform")
    chain.append(configuration)
    made: dict[str, Node] = {}
    for section in description.chain(chain):
        for key, value in section.entries.items():
            there = made.get(key)
            if key in _SUMMED and there is not None:
                items = {each.text: each for each in (*value.items, *there.items)}
                order = dict.fromkeys(each.text for each in (*there.items, *value.items))
                value = replace(value if value else there, items=tuple(items[each] for each in order))
            made[key] = value
    return made


def replacements(values: Mapping[str, Node], description: Description) -> list[tuple[str, str]]:
    """What is replaced in repository URLs, and by what."""
    tokens = {"@ARCH@": "Architecture", "@DIST@": "Distribution", "@RELEASE@": "Baseline"}
    return [(token, values[key].text) for token, key in tokens.items() if values.get(key)]


def url(repository: Node, values: Mapping[str, Node]) -> Node | None:
    """The URL of a repository."""
    return repository.entries.get("Url") or None


def script(name: Node, key: str, description: Description, files: Files) -> Source | None:
    """A script by what a list of scripts says."""
    places = [base / each for base in description.places for each in _SCRIPTS]
    suffixed = name.text + _SUFFIXES[key]
    plain = any(files.has(place / name.text) for place in places)
    return files.find(name.text if plain else suffixed, places, name.spot, key, "script")


def part(name: Node, description: Description, files: Files) -> Source | None:
    """The file with the part lines."""
    return files.find(name.text, [base / each for base in description.places for each in _PARTS], name.spot, "Part")


def options(repository: Node, values: Mapping[str, Node]) -> str:
    """The options of a repo line: the repository's, or what the image says for those without."""
    given, save = repository.entries.get("Options"), values.get("SaveRepos")
    if given:
        return given.text
    everywhere = values.get("RepositoryOptions")
    return " ".join(filter(None, (_SAVED if save and save.truth else "", everywhere.text if everywhere else "")))
