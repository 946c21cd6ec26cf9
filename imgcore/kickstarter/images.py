# SPDX-License-Identifier: GPL-2.0-or-later
"""A description's images: each with its repositories, scripts and partitions found, and a file name of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.description import Description, Image, Repository, Rules
from imgcore.kickstarter.files import Files
from imgcore.kickstarter.mistakes import Notes, near
from imgcore.kickstarter.tree import Node

__all__ = ["distinct", "file_name", "image_of"]

_SCRIPTS = {"PreScripts": "%pre", "PostScripts": "%post", "NoChrootScripts": "%post --nochroot",
            "PackScripts": "%pack"}  # fmt: skip
_NOWHERE = {"InstallerFrameworkPlugins": "no tool knows installerfw_plugins"}
_LONGEST_URL = 4096
_FILE_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+@-]{0,99}")


def file_name(values: Mapping[str, Node]) -> str:
    """What the kickstart of an image is called, without its suffix."""
    given = values.get("FileName")
    return given.text if given else "_".join(values["Name"].text.split())


def image_of(
    configuration: Node, values: Mapping[str, Node], description: Description, rules: Rules, files: Files,
    tokens: Mapping[str, str], notes: Notes,
) -> Image:  # fmt: skip
    """An image of a description; `values` is what it is with all that it inherits."""
    name = configuration.entries["Name"]
    called = file_name(values)
    if not _FILE_NAME.fullmatch(called):
        notes.mistake(name.spot, f"{shown(called)} cannot be the name of a file", "give a FileName", "Name")
    for key, why in _NOWHERE.items():
        if values.get(key):
            notes.warning(values[key].spot, f"it goes nowhere: {why}", key=key)
    part = values.get("Part")
    scripts = {
        header: tuple(
            source
            for each in (values[key].items if key in values else ()) if each
            if (source := rules.script(each, key, description, files)) is not None
        )
        for key, header in _SCRIPTS.items()
    }  # fmt: skip
    return Image(
        name=name.text,
        file_name=called,
        spot=name.spot,
        values=values,
        repositories=tuple(_repositories(values, description, rules, tokens, notes)),
        part=rules.part(part, description, files) if part else None,
        scripts=scripts,
    )


def _repositories(
    values: Mapping[str, Node], description: Description, rules: Rules, tokens: Mapping[str, str], notes: Notes
) -> list[Repository]:
    found = []
    replaced = rules.replacements(values, description)
    replaced += [(f"@{key}@", value) for key, value in tokens.items()]
    for each in values["Repos"].items if "Repos" in values else ():
        repository = description.repositories.get(each.text.strip())
        if not each:
            continue
        if repository is None:
            close = near(each.text, description.repositories)
            notes.missing(each.spot, f"there is no repository {shown(each.text)}{close}", key="Repos")
            continue
        given = rules.url(repository, values)
        if given is None:
            if len(repository.entries) == 1:
                notes.mistake(repository.spot, f"{shown(each.text)} has no Url", key="Repositories")
            continue
        url = given.text
        for token, value in replaced:
            if len(url) + url.count(token) * len(value) > _LONGEST_URL:
                notes.mistake(given.spot, f"{token} makes it longer than {_LONGEST_URL} characters", key="Url")
                break
            url = url.replace(token, value)
        found.append(Repository(each.text.strip(), _with_user(url, repository),
                                rules.options(repository, values), repository.spot))  # fmt: skip
    return found


def _with_user(url: str, repository: Node) -> str:
    user, password = repository.entries.get("Username"), repository.entries.get("Password")
    scheme, separator, rest = url.partition("://")
    if not user or not separator:
        return url
    return f"{scheme}://{_escaped(user)}{f':{_escaped(password)}' if password else ''}@{rest}"


def _escaped(node: Node) -> str:
    return quote(node.text, safe="")


def distinct(images: Sequence[Image], notes: Notes) -> list[Image]:
    """Of images with the same FileName the last has it, as it always had; the others are called by their name."""
    last = {image.file_name: image for image in images}
    found = []
    for image in images:
        if last[image.file_name] is not image:
            other = "_".join(image.name.split())
            what = f"{shown(image.file_name)} is the FileName of {shown(last[image.file_name].name)}, too"
            if other in last or not _FILE_NAME.fullmatch(other):
                notes.mistake(image.spot, what, "give another one", "FileName")
                continue
            notes.warning(image.spot, f"{what}; this one is {other}", key="FileName")
            image = replace(image, file_name=other)
            last[other] = image
        found.append(image)
    return found
