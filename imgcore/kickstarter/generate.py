# SPDX-License-Identifier: GPL-2.0-or-later
"""From YAML to kickstarts: the dialect is recognised, everything is read and checked, and each image is written.

All mistakes of all files are told at once; there is a kickstart only where there is none. Each kickstart is read
back before it is handed out: what the YAML says in a way that no kickstart can is a mistake of the YAML's line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.credentials import masked
from imgcore.errors import InputError
from imgcore.kickstart import KickstartError, header, plan, read
from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter import meego, mer
from imgcore.kickstarter.description import Description, Image, Rules
from imgcore.kickstarter.files import Files, Source
from imgcore.kickstarter.images import distinct, file_name, image_of
from imgcore.kickstarter.mistakes import Mistake, Notes, Spot, near
from imgcore.kickstarter.tree import Node
from imgcore.kickstarter.write import Written, write

__all__ = ["Generated", "Request", "generate"]

_DIALECTS: Mapping[str, Rules] = {"mer": mer, "meego": meego}
_TOKEN = re.compile(r"@([A-Z][A-Z0-9_]*)@")


@dataclass(frozen=True)
class Request:
    """What is to be generated from which files."""

    path: Path
    #: Name or FileName of the one image; empty: all that are active.
    name: str = ""
    #: Above all files that may be read; None: the directory of `path`.
    root: Path | None = None
    #: Further directories with YAML files and scripts.
    external: Sequence[Path] = ()
    #: Further files with repositories.
    repos: Sequence[Path] = ()
    #: Values for @TOKENS@ in repository URLs.
    tokens: Mapping[str, str] | None = None
    #: `mer` or `meego`; empty: by what the file says.
    dialect: str = ""
    #: `builtin`: what the built-in creator would refuse is a mistake, too.
    tool: str = ""
    #: Keys, sections, repositories and scripts that are not there are warnings, as the field's generators have it.
    lenient: bool = False


@dataclass(frozen=True)
class Generated:
    """A kickstart, and what is known of its image."""

    name: str
    file_name: str
    text: str
    #: From mic's options; empty where they do not say.
    image_type: str
    arch: str
    #: What it was made from, relative to where that lies.
    sources: tuple[str, ...]


def generate(request: Request) -> tuple[tuple[Generated, ...], tuple[Mistake, ...]]:
    """The kickstarts, and the warnings. Raises KickstarterError with every mistake, or InputError."""
    notes = Notes(request.lenient)
    path = request.path
    if not Files.has(path):
        raise InputError(f"{shown(str(path))} is not a file", "give the YAML file that has Configurations")
    roots = [request.root or path.parent, *request.external, *(each.parent for each in request.repos)]
    for root in roots:
        if not root.is_dir():
            raise InputError(f"{shown(str(root))} is not a directory", "give one that is there")
    files = Files(roots, notes)
    main = files.read(path, Spot(str(path)))
    tree = files.tree(main) if main is not None else None
    if main is None or tree is None:
        notes.check()
        raise InputError(f"{shown(str(path))} is empty", "give the YAML file that has Configurations")
    if "Name" in tree.entries and "Configurations" not in tree.entries:
        remedy = "give the file whose ExternalConfigs have its directory, with --name"
        raise InputError(f"{shown(str(path))} is one image of a description", remedy)
    dialect = request.dialect or _recognized(tree)
    rules = _DIALECTS[dialect]
    description = rules.load(main, tree, files, request.external, request.repos, notes)
    notes.check()
    chosen = _chosen(description, rules, request, notes)
    tokens = request.tokens or {}
    images = [image_of(each, values, description, rules, files, tokens, notes) for each, values in chosen]
    notes.check()
    images = distinct(images, notes)
    found = tuple(_generated(image, files, main, request.tool, notes) for image in images)
    notes.check()
    return found, notes.warnings


def _recognized(tree: Node) -> str:
    """The dialect of a main file: only MeeGo's knows Default and Platform."""
    images = tree.entries.get("Configurations")
    if "Default" in tree.entries or "Platform" in tree.entries:
        return "meego"
    return "meego" if any("Platform" in each.entries for each in (images.items if images else ())) else "mer"


def _chosen(
    description: Description, rules: Rules, request: Request, notes: Notes
) -> list[tuple[Node, Mapping[str, Node]]]:
    """The images that are asked for, with their values."""
    if not description.configurations:
        raise InputError(f"{request.path} describes no image", "give the YAML file that has Configurations")
    # Of those that are not asked for nobody wants to hear what is wrong.
    quiet = Notes(lenient=True) if request.name else notes
    every: list[tuple[Node, Mapping[str, Node]]] = [
        (each, rules.merge(each, description, quiet)) for each in description.configurations
    ]
    if not request.name:
        found = [each for each in every if (active := each[1].get("Active")) is None or not active or active.truth]
        if not found:
            raise InputError(f"no image of {request.path} is active", "name one with --name")
        return found
    named = [each for each in every if request.name == each[0].entries["Name"].text]
    named = named or [each for each in every if request.name == file_name(each[1])]
    if not named:
        known = sorted({each[0].entries["Name"].text for each in every} | {file_name(each[1]) for each in every})
        remedy = f"there are {', '.join(known[:8])}" + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        close = near(request.name, known)
        raise InputError(f"{request.path} has no image {shown(request.name)}{close}", remedy)
    if len(named) > 1:
        names = ", ".join(shown(each[0].entries["Name"].text) for each in named)
        raise InputError(f"{shown(request.name)} is the name of {len(named)} images", f"name one of {names}")
    return [(named[0][0], rules.merge(named[0][0], description, notes))]


def _generated(image: Image, files: Files, main: Source, tool: str, notes: Notes) -> Generated:
    sources = _sources(image, files, main)
    before = len(notes.mistakes)
    written = write(image, sources, notes)
    text = written.text
    said = header(text)
    if len(notes.mistakes) == before:
        _read_back(image, written, said.image_type, tool, notes)
    return Generated(
        name=image.name,
        file_name=image.file_name,
        text=text,
        image_type=said.image_type,
        arch=said.arch,
        sources=tuple(each.name for each in sources),
    )


def _sources(image: Image, files: Files, main: Source) -> list[Source]:
    """The files that the image's values, repositories and scripts stand in, the main one first."""
    spots = [image.spot, *(each.spot for each in image.values.values()), *(each.spot for each in image.repositories)]
    for value in image.values.values():
        spots.extend(each.spot for each in value.items)
    found = [main, *(source for spot in spots if (source := files.source(spot.file)) is not None)]
    others = [each for scripts in image.scripts.values() for each in scripts]
    found = [*sorted(dict.fromkeys(found[1:]), key=lambda each: each.name), *([image.part] if image.part else ())]
    return list(dict.fromkeys([main, *found, *others]))


def _read_back(image: Image, written: Written, image_type: str, tool: str, notes: Notes) -> None:
    """Note what cannot be read, at the places that it comes from."""
    text = written.text
    # Which values they get when an image is built is not known yet; they get some.
    tokens = {name: "/x" if f"file://@{name}@" in text else "x" for name in set(_TOKEN.findall(text))}
    try:
        kickstart = read(text.encode(), image.file_name, tokens=tokens)
        if tool == "builtin":
            plan(kickstart, name=image.file_name, arch="x86_64", image_type=image_type or "fs", tokens=tokens)
    except KickstartError as error:
        for each in error.mistakes:
            origin = written.origins[each.place.outer - 1] if each.place.outer <= len(written.origins) else None
            spot = origin.spot if origin else image.spot
            notes.mistake(spot, _without_secrets(each.what, image), each.remedy, origin.key if origin else "")
    except InputError as error:
        notes.mistake(image.spot, _without_secrets(error.message, image), error.remedy)


def _without_secrets(text: str, image: Image) -> str:
    for secret in filter(None, map(image.values.get, ("RootPass", "DefaultUserPass"))):
        text = text.replace(secret.text, "…") if len(secret.text) > 2 else text
    return masked(text)
