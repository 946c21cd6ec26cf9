# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialects of kickstarts: mic's, and each version of Fedora and RHEL that pykickstart knows.

`recognise` says which one a kickstart is written in: mic's if something in it is mic's alone, else the newest Fedora
that takes every line, else the newest RHEL; if none does, the one that takes most of them, with what it refuses.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pykickstart.base import DeprecatedCommand, RemovedCommand
from pykickstart.handlers.control import commandMap
from pykickstart.version import DEVEL, versionMap

from imgcore.errors import InputError
from imgcore.kickstart.dialect import MIC_OPTIONS, NotUnderstood, Reader, kinds_of
from imgcore.kickstart.mistakes import Mistake, nearest, shown
from imgcore.kickstart.model import Command, Kickstart

__all__ = ["Dialect", "Recognised", "dialect", "dialects", "mic_features", "recognise"]

#: Sections that no dialect but mic's has.
MIC_SECTIONS = frozenset({"prepackages", "attachment", "pack"})
#: The Fedora and the RHEL that other sections came with.
_SINCE: dict[str, tuple[int, int]] = {
    "addon": (versionMap["F18"], versionMap["RHEL7"]),
    "anaconda": (versionMap["F22"], versionMap["RHEL7"]),
    "pre-install": (versionMap["F22"], versionMap["RHEL7"]),
    "onerror": (versionMap["F25"], versionMap["RHEL7"]),
    "certificate": (versionMap["F42"], versionMap["RHEL10"]),
}


@dataclass(frozen=True)
class Dialect:
    """A dialect by its name: `mic`, `fedora` (the newest), `f41`, `rhel9`. `version` is pykickstart's."""

    name: str
    version: int = DEVEL

    def kinds(self, command: str) -> tuple[type, ...]:
        """The classes that read a command; none if the dialect has not got it."""
        if self.name == "mic":
            return kinds_of(command)
        kind = commandMap[self.version].get(command)
        return () if kind is None or issubclass(kind, RemovedCommand) else (kind,)

    def reader(self) -> Reader:
        """Reads as this dialect does."""
        return Reader(self.kinds, self.name)

    def deprecates(self, command: str) -> bool:
        """Whether the command is on its way out."""
        kind = commandMap[self.version].get(command)
        return self.name != "mic" and kind is not None and issubclass(kind, DeprecatedCommand)

    def has_section(self, kind: str) -> bool:
        """Whether there are sections of that kind (without %)."""
        if kind in MIC_SECTIONS:
            return self.name == "mic"
        fedora, rhel = _SINCE.get(kind, (0, 0))
        return self.version >= (rhel if self.name.startswith("rhel") else fedora)

    @property
    def needs_end(self) -> bool:
        """Whether a section must end with %end."""
        return self.name != "mic" and self.version >= versionMap["F8"]


@functools.cache
def dialects() -> tuple[Dialect, ...]:
    """All of them: mic's, then Fedora's and RHEL's, the newest first."""
    by_age = sorted((version, name) for name, version in versionMap.items() if name != "DEVEL")[::-1]
    fedora = [Dialect(name.lower(), version) for version, name in by_age if not name.startswith("RHEL")]
    rhel = [Dialect(name.lower(), version) for version, name in by_age if name.startswith("RHEL")]
    return (Dialect("mic"), Dialect("fedora"), *fedora, *rhel)


def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises InputError."""
    known = {each.name: each for each in dialects()}
    found = known.get(name.lower().replace("centos", "rhel").replace("fedora-", "f"))
    if found is None:
        raise InputError(
            f"dialect {shown(name)} is not known{nearest(name.lower(), known)}",
            f"choose mic, fedora, fc3 to {dialects()[2].name}, or rhel3 to "
            f"{max((each for each in known if each.startswith('rhel')), key=lambda each: int(each[4:]))}",
        )
    return found


def mic_features(kickstart: Kickstart) -> list[str]:
    """What of a kickstart only mic has."""
    features = ["the header of mic's options"] if kickstart.header.image_type or kickstart.header.arch else []
    features += [f"%{each.kind}" for each in kickstart.all_sections if each.kind in MIC_SECTIONS]
    for command in kickstart.commands:
        if command.name == "desktop":
            features.append("desktop")
        else:
            only_mic = MIC_OPTIONS.get(command.name, frozenset())
            features += [f"{option} of {command.name}" for option in command.given.values() if option in only_mic]
    return list(dict.fromkeys(features))


@dataclass(frozen=True)
class Recognised:
    """The dialect of a kickstart, why, and what it does not take (empty if it takes everything)."""

    dialect: Dialect
    why: str
    refused: tuple[Mistake, ...] = ()


def recognise(kickstart: Kickstart) -> Recognised:
    """The dialect that a kickstart is written in, or the one that comes closest."""
    features = mic_features(kickstart)
    if features:
        return Recognised(dialects()[0], f"only mic has {', '.join(features[:3])}")
    closest: Recognised | None = None
    taken: dict[tuple[type | None, int], str | None] = {}
    for each in dialects()[1:]:
        refused = tuple(_refused(each, kickstart, taken))
        if not refused:
            return Recognised(each, "it takes every line")
        if closest is None or len(refused) < len(closest.refused):
            closest = Recognised(each, "no dialect takes every line, it takes most of them", refused)
    return closest or Recognised(dialects()[1], "")


def _refused(each: Dialect, kickstart: Kickstart, taken: dict[tuple[type | None, int], str | None]) -> list[Mistake]:
    """What a dialect does not take; `taken` keeps what a class said to a line, as many dialects share it."""
    reader = each.reader()
    found = []
    for number, command in enumerate(_distinct(kickstart.commands)):
        kind = next(iter(each.kinds(command.name)), None)
        if (kind, number) not in taken:
            taken[kind, number] = _said(reader, command)
        said = taken[kind, number]
        if said:
            found.append(Mistake(command.place, said, rule="dialect", word=command.name))
    for section in kickstart.all_sections:
        if not each.has_section(section.kind):
            name = f"%{section.kind}"
            found.append(Mistake(section.place, f"section {name} is none of {each.name}", rule="dialect", word=name))
    return found


def _distinct(commands: Sequence[Command]) -> Iterable[Command]:
    """A command a set of options: what a dialect says of it, it says of all."""
    return {(each.name, *sorted(each.given)): each for each in commands}.values()


def _said(reader: Reader, command: Command) -> str | None:
    try:
        reader.read(command.words, command.place.line)
    except NotUnderstood as error:
        return str(error)
    return None
