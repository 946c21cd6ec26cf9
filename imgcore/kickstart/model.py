# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart as it was read: frozen data with the place of everything, before anybody decides what to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from imgcore.kickstart.mistakes import Place

__all__ = [
    "Command",
    "Entry",
    "Header",
    "Kickstart",
    "PackageSection",
    "ScriptSection",
    "Section",
    "unlike",
    "url_of",
]


@dataclass(frozen=True)
class Command:
    """A command line. `values` is what pykickstart makes of it; `given` has the options that the line gives."""

    name: str
    words: tuple[str, ...]
    place: Place
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    #: Attribute in `values` to the option as it is written.
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def url_of(values: Mapping[str, Any]) -> str:
    """The URL that a repository is known by."""
    return str(values.get("baseurl") or values.get("mirrorlist") or values.get("metalink") or "")


#: Of a repository, what is compared as its name and its URL.
_WHERE = frozenset({"name", "baseurl", "url", "mirrorlist", "metalink"})


def unlike(given: Mapping[str, str], values: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a repository's line that ask for something else than another line of it does.

    Only those that are `given` count: a line that asks for less is not unlike the other.
    """
    return tuple(
        option
        for attribute, option in given.items()
        if attribute not in _WHERE and _effect(attribute, values) != _effect(attribute, there)
    )


def _effect(attribute: str, values: Mapping[str, Any]) -> Any:
    """What comes of an option, however it is written, or of its lack."""
    if attribute in ("ssl_verify", "noverifyssl"):
        return str(values.get("ssl_verify") or "yes").lower() != "no" and not values.get("noverifyssl")
    if attribute in ("save", "install"):
        return bool(values.get("save") or values.get("install"))
    return values.get(attribute) or None


@dataclass(frozen=True)
class Entry:
    """A line of a package list; `kind` is `package`, `group`, `environment` or `module`."""

    name: str
    place: Place
    kind: str = "package"
    excluded: bool = False
    #: Of a group: `default`, `required` or `all`.
    include: str = "default"


@dataclass(frozen=True)
class PackageSection:
    """A %packages section. `options` are those of its header, by their long name without dashes."""

    place: Place
    options: Mapping[str, str]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class ScriptSection:
    """A script; `kind` is the section's name without `%`; `interpreter` and `log` are empty unless given."""

    kind: str
    body: str
    place: Place
    interpreter: str = ""
    chroot: bool = True
    error_on_fail: bool = False
    log: str = ""
    #: Where each line of the body stands: some may have been included.
    places: tuple[Place, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Section:
    """That there is a section. Of those that nothing here looks into (%addon, %anaconda, …) also what it says."""

    kind: str
    place: Place
    header: str = ""
    body: str = ""


@dataclass(frozen=True)
class Header:
    """The options in mic's comment `# -*-mic2-options-*- -f raw --arch=i586 -*-mic2-options-*-`."""

    image_type: str = ""
    arch: str = ""


@dataclass(frozen=True)
class Kickstart:
    """What a kickstart says."""

    name: str
    #: The whole text with tokens replaced and included files in place; may hold secrets (see `redact`).
    text: str
    commands: tuple[Command, ...] = ()
    packages: tuple[PackageSection, ...] = ()
    prepackages: tuple[Entry, ...] = ()
    attachments: tuple[Entry, ...] = ()
    scripts: tuple[ScriptSection, ...] = ()
    sections: tuple[Section, ...] = ()
    #: Every section there is, also those that are above, in their order.
    all_sections: tuple[Section, ...] = ()
    header: Header = Header()
    warnings: tuple[str, ...] = ()
