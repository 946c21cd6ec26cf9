# SPDX-License-Identifier: GPL-2.0-or-later
"""What a section's header and lines say: package lists, attachments, scripts.

Each function takes what `document` found and notes its mistakes; a section that has one is left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from imgcore.kickstart.document import Line
from imgcore.kickstart.mistakes import Notes, Place, nearest, shown
from imgcore.kickstart.model import Entry, PackageSection, ScriptSection

__all__ = ["PACKAGES_OPTIONS", "PACKAGE_NAME", "SCRIPT_OPTIONS", "attachments", "packages", "prepackages", "script"]

#: Names, globs, versions, provides such as `perl(Foo)` and paths; nothing that could be an option or two words.
PACKAGE_NAME = re.compile(r"[\w/*?\[.(+][\w./*?\[\]!+:~^%(),=<>&@-]{0,254}")
_GROUP_NAME = re.compile(r"[\w*][\w .,+&/()'*-]{0,254}")
#: A path or, as livecd-creator has its own, a name.
_INTERPRETER = re.compile(r"/[^\x00-\x1f\x7f]*|[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_LONGEST = 4096


@dataclass(frozen=True)
class _Option:
    name: str
    takes_value: bool = False


#: Spelling (lower case) to option.
PACKAGES_OPTIONS: Mapping[str, _Option] = {
    "--excludedocs": _Option("excludedocs"),
    "--ignoremissing": _Option("ignoremissing"),
    "--ignorebroken": _Option("ignorebroken"),
    "--ignoredeps": _Option("ignoredeps"),
    "--resolvedeps": _Option("resolvedeps"),
    "--default": _Option("default"),
    "--nobase": _Option("nobase"),
    "--nocore": _Option("nocore"),
    "--multilib": _Option("multilib"),
    "--instlangs": _Option("inst-langs", True),
    "--inst-langs": _Option("inst-langs", True),
    "--excludeweakdeps": _Option("exclude-weakdeps"),
    "--exclude-weakdeps": _Option("exclude-weakdeps"),
    "--timeout": _Option("timeout", True),
    "--retries": _Option("retries", True),
}
SCRIPT_OPTIONS: Mapping[str, _Option] = {
    "--interpreter": _Option("interpreter", True),
    "--nochroot": _Option("nochroot"),
    "--erroronfail": _Option("erroronfail"),
    "--log": _Option("log", True),
    "--logfile": _Option("log", True),
}
_GROUP_OPTIONS = {"--nodefaults": "required", "--optional": "all"}


def _options(header: Line, known: Mapping[str, _Option], notes: Notes) -> Mapping[str, str] | None:
    """The options of a section's header; None after a mistake."""
    try:
        words = shlex.split(header.text.strip()[:_LONGEST], comments=True)
    except ValueError as error:
        notes.mistake(header.place, f"{header.text.split()[0]}: {shown(str(error)).lower()}")
        return None
    section, rest = words[0], words[1:]
    found: dict[str, str] = {}
    while rest:
        word = rest.pop(0)
        spelled, equals, value = word.partition("=")
        option = known.get(spelled.lower())
        if option is None:
            what = "unknown option" if word.startswith("-") else "unexpected word"
            notes.mistake(header.place, f"{what} {shown(spelled)} of {section}{nearest(spelled, known)}")
            return None
        if option.takes_value and not equals:
            if not rest:
                notes.mistake(header.place, f"option {spelled} of {section} needs a value")
                return None
            value = rest.pop(0)
        elif equals and not option.takes_value:
            notes.mistake(header.place, f"option {spelled} of {section} takes no value")
            return None
        found[option.name] = value
    return MappingProxyType(found)


def _listed(body: Sequence[Line], section: str, notes: Notes) -> list[tuple[str, Place]]:
    """The lines of a list without comments and blanks."""
    found = []
    for line in body:
        text = line.text.partition("#")[0].strip()
        if not text:
            continue
        if text.startswith("%"):
            notes.mistake(line.place, f"{shown(text)} is not something that {section} can have")
        elif len(text) > _LONGEST:
            notes.mistake(line.place, f"a line of {len(text)} characters in {section}")
        else:
            found.append((text, line.place))
    return found


def packages(header: Line, body: Sequence[Line], notes: Notes) -> PackageSection | None:
    """A %packages section."""
    options = _options(header, PACKAGES_OPTIONS, notes)
    entries = [_entry(text, place, notes) for text, place in _listed(body, "%packages", notes)]
    if options is None:
        return None
    return PackageSection(header.place, options, tuple(entry for entry in entries if entry is not None))


def _entry(text: str, place: Place, notes: Notes) -> Entry | None:
    if text.startswith("--"):
        notes.mistake(place, f"{shown(text)} is not a package name", "options stand behind %packages")
        return None
    excluded = text.startswith("-")
    name = text[1:] if excluded else text
    if name.startswith("@"):
        return _group(name[1:], place, excluded, notes)
    return _package(name, place, "%packages", notes, excluded)


def _package(name: str, place: Place, section: str, notes: Notes, excluded: bool = False) -> Entry | None:
    if PACKAGE_NAME.fullmatch(name):
        if "://" not in name and ".." not in name.split("/"):
            return Entry(name, place, excluded=excluded)
        notes.mistake(place, f"{shown(name)} is not a package name", "add a repository that has the package")
    elif len(name.split()) > 1:
        notes.mistake(place, f"{shown(name)}: more than one name in a line of {section}", "write one name a line")
    else:
        notes.mistake(place, f"{shown(name)} is not a package name")
    return None


def _group(text: str, place: Place, excluded: bool, notes: Notes) -> Entry | None:
    words = text.split()
    include = "default"
    while words and words[-1].startswith("--"):
        option = words.pop()
        if option not in _GROUP_OPTIONS:
            notes.mistake(place, f"unknown option {shown(option)} of a group{nearest(option, _GROUP_OPTIONS)}")
            return None
        include = _GROUP_OPTIONS[option]
    name = " ".join(words)
    kind = "group"
    if name.startswith("^"):
        kind, name = "environment", name[1:].strip()
    elif ":" in name:
        kind = "module"
    if not _GROUP_NAME.fullmatch(name.replace(":", " ") if kind == "module" else name):
        notes.mistake(place, f"@{shown(name)} is not the name of a group")
        return None
    return Entry(name, place, kind, excluded, include)


def prepackages(header: Line, body: Sequence[Line], notes: Notes) -> tuple[Entry, ...]:
    """mic's %prepackages: package names only."""
    _options(header, {}, notes)
    listed = _listed(body, "%prepackages", notes)
    for text, place in listed:
        if text[0] in "@-":
            notes.mistake(place, f"{shown(text)}: %prepackages takes names of packages only")
    entries = (_package(text, place, "%prepackages", notes) for text, place in listed if text[0] not in "@-")
    return tuple(entry for entry in entries if entry is not None)


def attachments(header: Line, body: Sequence[Line], notes: Notes) -> tuple[Entry, ...]:
    """mic's %attachment: absolute path globs in the image, or package names."""
    _options(header, {}, notes)
    found = []
    for text, place in _listed(body, "%attachment", notes):
        if text.startswith("/"):
            if ".." in text.split("/") or not text.isprintable():
                notes.mistake(place, f"{shown(text)} is not a path in the image", "write it without ..")
            else:
                found.append(Entry(text, place))
        elif (entry := _package(text, place, "%attachment", notes)) is not None:
            found.append(entry)
    return tuple(found)


def script(section: str, header: Line, body: Sequence[Line], notes: Notes) -> ScriptSection | None:
    """A script section; its body has Unix line ends, whatever the file has."""
    options = _options(header, SCRIPT_OPTIONS, notes)
    if options is None:
        return None
    interpreter, log = options.get("interpreter", ""), options.get("log", "")
    if interpreter and not _INTERPRETER.fullmatch(interpreter):
        what = f"option --interpreter of {section}: {shown(interpreter)} is not a path"
        notes.mistake(header.place, what, word=interpreter)
        return None
    if log and (not log.startswith("/") or not log.isprintable()):
        notes.mistake(header.place, f"option --log of {section}: {shown(log)} is not an absolute path", word=log)
        return None
    return ScriptSection(
        kind=section.removeprefix("%"),
        body="".join(f"{line.text}\n" for line in body),
        place=header.place,
        interpreter=interpreter,
        chroot="nochroot" not in options,
        error_on_fail="erroronfail" in options,
        log=log,
        places=tuple(line.place for line in body),
    )
