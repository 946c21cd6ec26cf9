# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked for is put into a kickstart's text, taken out or replaced; everything else stays byte for byte.

What is there already is not added again, what is gone is not taken out again: the same changes twice are as once.
A conflict is told, never guessed, and all of them at once: a repository of the same name with another URL, a
package that is both excluded and added, a thing to be replaced that is not there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imgcore import names
from imgcore.errors import InputError
from imgcore.kickstart.dialect import NotUnderstood, Reader
from imgcore.kickstart.document import SECTIONS, lines_of, roles
from imgcore.kickstart.editor import Editor, NewCommand, NewRepository, repository_line
from imgcore.kickstart.mistakes import shown
from imgcore.kickstart.model import url_of
from imgcore.kickstart.redact import redact
from imgcore.kickstart.sections import PACKAGE_NAME
from imgcore.kickstart.tokens import replacer

__all__ = ["Changed", "Changes", "augment", "change"]

_URL = re.compile(r"(?:(?:https?|ftp)://|file://(?:localhost)?/|/)\S{1,2000}")
_NAMED = re.compile(rf"([A-Za-z0-9_][A-Za-z0-9_.:@+-]*)=({_URL.pattern})")
_GROUP = re.compile(r"[\w][\w .,+&/()'-]{0,254}")
_AS_IT_STANDS = "write it as it is to stand in the kickstart"
LONGEST = 4096
LONGEST_SECTION = 2**20


@dataclass(frozen=True)
class Changes:
    """What is to be changed.

    A repository is a URL, `NAME=URL`, or a whole `repo --name=NAME --baseurl=URL …` line. Of what is removed or
    excluded, a name with `@` is a group.
    """

    extra_repos: Sequence[str] = ()
    packages: Sequence[str] = ()
    groups: Sequence[str] = ()
    exclude: Sequence[str] = ()
    #: Packages and groups whose lines go, also those that exclude them.
    remove: Sequence[str] = ()
    #: `NAME=URL`: the URL that a repository has from now on.
    replace_repos: Sequence[str] = ()
    remove_repos: Sequence[str] = ()
    #: Command lines, each in the place of the one that says the same thing (`part /` of `part /`), or new.
    commands: Sequence[str] = ()
    #: Names of commands whose lines go.
    remove_commands: Sequence[str] = ()
    #: Whole sections but %packages, from their header on.
    sections: Sequence[str] = ()
    tokens: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changed:
    """A kickstart's text after the changes, and what they were as a unified diff (empty: nothing)."""

    text: str
    diff: str


def augment(
    text: str, *, extra_repos: Sequence[str] = (), packages: Sequence[str] = (), groups: Sequence[str] = ()
) -> str:
    """`text` with what it lacks of the given things. Raises InputError for what cannot be added."""
    return change(text, Changes(extra_repos, packages, groups)).text


def change(text: str, changes: Changes, name: str = "kickstart.ks") -> Changed:
    """`text` with the changes made; the diff calls it `name`. Raises InputError that tells all that is wrong."""
    problems: list[InputError] = []

    def each(given: Iterable[str], make: Callable[[str], object]) -> None:
        for one in given:
            try:
                make(one)
            except InputError as error:
                problems.append(error)

    each(_both(changes), _conflict)
    _tokens(changes.tokens)
    editor = Editor(text, replacer(changes.tokens))
    each(changes.remove_commands, lambda given: editor.remove_commands(_command_name(given)))
    each(changes.remove_repos, lambda given: editor.remove_repository(_one_line("repository", given)))
    each(changes.replace_repos, lambda given: editor.replace_repository(*_named(given)))
    each(changes.extra_repos, lambda given: editor.add_repository(_repository(given)))
    each(changes.commands, lambda given: editor.set_command(_command(given)))
    each(changes.remove, lambda given: editor.remove_entry(*_entry(given)))
    each(changes.groups, lambda given: editor.add_entry(_group_name(given), group=True))
    each(changes.packages, lambda given: editor.add_entry(_package_name(given), group=False))
    each(changes.exclude, lambda given: editor.exclude(*_entry(given)))
    editor.make_section()
    each(changes.sections, lambda given: editor.add_section(_section(given)))
    if problems:
        first = problems[0]
        for other in problems[1:]:
            first.add_note(str(other))
        raise first
    return Changed(editor.edits.text(), editor.edits.diff(name))


def _both(changes: Changes) -> list[str]:
    """What is asked for in two ways that contradict each other."""
    added = {each.strip() for each in changes.packages}
    added |= {f"@{each.strip().removeprefix('@')}" for each in changes.groups}
    return sorted(added & {each.strip() for each in (*changes.remove, *changes.exclude)})


def _conflict(what: str) -> None:
    raise InputError(f"{shown(what)} is both added and taken out", "decide for one")


def _one_line(kind: str, given: str) -> str:
    if not given.strip() or not given.isprintable() or len(given) > LONGEST:
        raise InputError(f"{kind} {shown(given)!r} cannot be added", "give one name, one line, no control characters")
    return given.strip()


def _package_name(given: str) -> str:
    name = _one_line("package", given)
    if not PACKAGE_NAME.fullmatch(name) or "://" in name:
        raise InputError(f"package {shown(name)!r} is not a package name", "groups are added as groups")
    return name


def _group_name(given: str) -> str:
    name = _one_line("group", given).removeprefix("@")
    if not _GROUP.fullmatch(name) or "--" in name:
        raise InputError(f"group {shown(name)!r} is not the name of a group", "give its name or id")
    return name


def _entry(given: str) -> tuple[str, bool]:
    """The name of a package or, with `@`, a group; and whether it is a group."""
    group = given.lstrip().startswith("@")
    return (_group_name(given) if group else _package_name(given)), group


def _repository(given: str) -> NewRepository:
    text = _one_line("extra repository", given)
    if _URL.fullmatch(text):
        return NewRepository("", _checked(text))
    named = _NAMED.fullmatch(text)
    if named is not None:
        return NewRepository(named[1], _checked(named[2]))
    values, options = repository_line(text, Reader()) or ({}, {})
    if not (values.get("baseurl") or values.get("mirrorlist")):
        raise InputError(
            f"extra repository {shown(text)!r} is not understood",
            "give an http, https, ftp or file URL, NAME=URL, or a line repo --name=NAME --baseurl=URL",
        )
    for each in ("baseurl", "mirrorlist"):
        if values.get(each):
            _checked(str(values[each]))
    return NewRepository(str(values["name"]), url_of(values), text, values, options)


def _named(given: str) -> tuple[str, str]:
    named = _NAMED.fullmatch(_one_line("repository", given))
    if named is None:
        raise InputError(f"repository {shown(given)!r} cannot be replaced", "give NAME=URL")
    return named[1], _checked(named[2])


def _checked(url: str) -> str:
    """The URL (or absolute path) as it is, after the one validator of repositories has passed it."""
    names.repository_url(f"file://{url}" if url.startswith("/") else url.replace("://localhost/", ":///", 1))
    if "#" in url:
        raise InputError(f"extra repository URL {shown(url)} has a #", "write it percent-encoded")
    return url


def _command_name(given: str) -> str:
    name = _one_line("command", given)
    if not name.replace("-", "").isalnum():
        raise InputError(f"command {shown(name)!r} is not the name of a command", "give one word")
    return name


def _command(given: str) -> NewCommand:
    text = _one_line("command", given)
    try:
        words = shlex.split(text, comments=True)
        values = Reader().read(words, 1)[0] if words else {}
    except (ValueError, NotUnderstood) as error:
        raise InputError(
            f"command {shown(redact(text))!r}: {error}", "write it as it is to stand in the kickstart"
        ) from error
    if not words:
        raise InputError(f"command {shown(text)!r} says nothing", "write it as it is to stand in the kickstart")
    return NewCommand(text, tuple(words), values)


def _section(given: str) -> tuple[str, ...]:
    """The lines of a section without its %end."""
    if len(given) > LONGEST_SECTION or "\0" in given:
        raise InputError("a section cannot be added: it is too long, or no text", f"{LONGEST_SECTION} at most")
    lines = lines_of(given.strip("\r\n"), "")
    kinds = list(roles(lines))
    header = lines[0].text.split()[0] if lines and kinds[0].kind == "header" else ""
    if kinds and kinds[-1].kind == "end":
        lines, kinds = lines[:-1], kinds[:-1]
    if header not in SECTIONS - {"%packages"} or any(each.kind in ("header", "end") for each in kinds[1:]):
        raise InputError(
            f"{shown(given.partition(chr(10))[0])!r} does not begin one section that can be added",
            "give the lines of one, for example from %post to %end; packages are added as packages",
        )
    return tuple(line.text for line in lines)


def _tokens(tokens: Mapping[str, str]) -> None:
    """Refuse a value that has a token in it: the same replacement twice would not be as once."""
    for name, value in tokens.items():
        if any(f"@{each}@" in value for each in tokens):
            raise InputError(f"token {shown(name)} has a token in its value", "give the value it has in the end")
