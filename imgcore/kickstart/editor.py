# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a kickstart, what is in them, and where more goes: where a person would put it.

A repository goes behind the last one, a package behind the last package, in the indentation, quotes and line ends
of its neighbours; a section that is missing is made before the scripts. What is given was checked by `augment`.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgcore.credentials import without
from imgcore.errors import InputError
from imgcore.kickstart.dialect import NotUnderstood, Reader
from imgcore.kickstart.document import SCRIPTS, Line, Role, comment_of, lines_of, roles
from imgcore.kickstart.edit import Edits
from imgcore.kickstart.identity import identity, same
from imgcore.kickstart.mistakes import shown
from imgcore.kickstart.model import unlike, url_of
from imgcore.kickstart.redact import redact

__all__ = ["Editor", "NewCommand", "NewRepository", "repository_line"]

#: What can be an option of where a repository is, or the beginning of one, and its value.
_URL_OPTION = re.compile(r"(?<!\S)(--[bm][a-z]{2,})(=|\s+)(\"[^\"]*\"|'[^']*'|\S+)")
_URL_OPTIONS = ("--baseurl", "--mirrorlist", "--metalink")


@dataclass(frozen=True)
class NewRepository:
    """A repository to be added: its name (empty: made from the URL), URL, and its line if one was given whole."""

    name: str
    url: str
    line: str = ""
    #: What the line says, and the options that it gives.
    values: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewCommand:
    """A command line to be added, its words, and what they say."""

    text: str
    words: tuple[str, ...]
    values: Mapping[str, Any]


def repository_line(text: str, reader: Reader) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
    """What a `repo` line says, and the options that it gives; None if it is none that can be read."""
    try:
        words = shlex.split(text, comments=True)
        return reader.read(words, 1) if words and words[0] == "repo" else None
    except (ValueError, NotUnderstood):
        return None


def _name_for(url: str, taken: Mapping[str, object]) -> str:
    """A name for a repository that came without one: always the same for a URL, and without its credentials."""
    bare = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", without(url))
    name = re.sub(r"[^A-Za-z0-9_.@]+", "-", bare).strip("-.")[:80] or "extra"
    if name in taken:
        name += "-" + hashlib.sha256(url.encode()).hexdigest()[:8]
    return name


class Editor:
    """Changes `text`; the result is in `edits`. `replace` puts values for tokens into each line first."""

    def __init__(self, text: str, replace: Callable[[str], str]) -> None:
        lines = lines_of(text, "")
        self.edits = Edits(lines)
        self._lines = [line._replace(text=replace(line.text)) for line in lines]
        for index, (before, after) in enumerate(zip(lines, self._lines, strict=True)):
            if before.text != after.text:
                self.edits.replace(index, after.text)
        self._roles = list(roles(self._lines))
        self._ended = any(role.kind == "end" for role in self._roles)
        self._reader = Reader()
        self._repositories: dict[str, str] = {}
        self._repository_lines: dict[str, list[int]] = {}
        #: What the first line of each repository says, also of one that was taken out.
        self._repository_values: dict[str, Mapping[str, Any]] = {}
        self._last_repository: int | None = None
        #: (group?, name) to whether the last line about it excludes it.
        self._entries: dict[tuple[bool, str], bool] = {}
        self._entry_lines: dict[tuple[bool, str], list[int]] = {}
        self._section: int | None = None
        self._new_section: list[str] = []
        self._last: dict[bool, int | None] = {False: None, True: None}
        self._last_excluded: int | None = None
        self._sections: set[tuple[str, ...]] | None = None
        self._removed: set[int] = set()
        #: What was taken out and may be asked for again, to its line.
        self._gone: dict[tuple[str, str], int] = {}
        #: What a line speaks of, to how it is asked for.
        self._asked: dict[tuple[str, ...], str] = {}
        for index, (line, role) in enumerate(zip(self._lines, self._roles, strict=True)):
            self._look(index, line, role.kind, role.section)

    def _look(self, index: int, line: Line, kind: str, section: str) -> None:
        if kind == "command" and line.text.split()[0] == "repo":
            self._last_repository = index
            read = repository_line(line.text[:65536], self._reader)
            if read is not None:
                name = str(read[0]["name"])
                self._repositories[name] = url_of(read[0])
                self._repository_lines.setdefault(name, []).append(index)
                self._repository_values.setdefault(name, read[0])
        elif section == "%packages" and kind == "header":
            self._section = index
            self._last, self._last_excluded = {False: None, True: None}, None
        elif section == "%packages" and kind == "body":
            self._entry(index, line)

    def _entry(self, index: int, line: Line) -> None:
        text = line.text.partition("#")[0].strip()
        if not text:
            return
        excluded = text.startswith("-")
        name = text.removeprefix("-").strip()
        group = name.startswith("@")
        if group:
            name = name[1:].partition(" --")[0].strip()
        self._entries[group, name] = excluded
        self._entry_lines.setdefault((group, name), []).append(index)
        if excluded:
            self._last_excluded = index
        else:
            self._last[group] = index

    def add_repository(self, new: NewRepository) -> None:
        """Put a repository behind the last one, or before the first section."""
        name = new.name
        if not name:
            known = next((each for each, url in self._repositories.items() if url == new.url), None)
            name = known or _name_for(new.url, self._repositories)
        there = self._repositories.get(name)
        if there in (None, new.url):
            self._first(("repo", name), f"{name}={new.url}")
        lost = unlike(new.given, new.values, self._repository_values.get(name, {}))
        if there == new.url:
            if lost:
                what = f"the repository of that name and URL differs in {', '.join(lost)}"
                raise InputError(
                    f"extra repository {shown(name)}: {what}",
                    "set the whole line instead, or leave them out",
                )
            return
        if there is not None:
            raise InputError(
                f"extra repository {shown(name)}: the kickstart has a repository of that name with another URL,"
                f" {shown(there, 200)}",
                "give it another name (NAME=URL)",
            )
        self._repositories[name] = new.url
        if not lost and self._restored((name, new.url)):
            return
        self._repository_values[name] = new.values
        model = self._lines[self._last_repository].text if self._last_repository is not None else ""
        line = new.line or _repo_text(name, new.url, model)
        self.edits.insert(self._behind_commands("repo"), _indent(model) + line)

    def replace_repository(self, name: str, url: str) -> None:
        """Give the repository another URL."""
        lines = self._repository_lines.get(name)
        if not lines:
            raise InputError(f"repository {shown(name)} is not in the kickstart", "add it as an extra repository")
        self._first(("repo", name), f"{name}={url}")
        for index in lines:
            self.edits.replace(index, self._with_url(name, self._lines[index].text, url))
        self._repositories[name] = url

    def _with_url(self, name: str, text: str, url: str) -> str:
        """The line with another URL: a `--baseurl`, also where there was a list of mirrors."""
        code = text.rstrip().removesuffix(comment_of(text)).rstrip()

        def other(match: re.Match[str]) -> str:
            option = next((each for each in _URL_OPTIONS if each.startswith(match[1])), "")
            if not option:
                return match[0]
            return f"{match[1] if option == '--baseurl' else '--baseurl'}{match[2]}{_quoted(url, match[3])}"

        new = _URL_OPTION.sub(other, code)
        if new == code and (read := repository_line(code, self._reader)) is not None and not url_of(read[0]):
            new = f"{code} --baseurl={_quoted(url, '')}"
        read = repository_line(new, self._reader)
        if read is None or url_of(read[0]) != url:
            raise InputError(
                f"the URL of repository {shown(name)} cannot be found in its line", "set the whole line instead"
            )
        return new + text[len(code) :]

    def remove_repository(self, name: str) -> None:
        """Take out the repository's line, if there is one."""
        self._first(("repo", name), f"removing repository {name}")
        self._repositories.pop(name, None)
        for index in self._repository_lines.pop(name, ()):
            self._remove(index)

    def set_command(self, new: NewCommand) -> None:
        """Put a command line into the place of the one that says the same thing, or behind its like."""
        name, wanted = same(new.words[0]), identity(new.words, new.values)
        if not self._first(wanted, shlex.join(new.words)):
            return
        about = [(index, words) for index, words, values in self._commands(name) if identity(words, values) == wanted]
        # One that was taken out only where no other is left: it comes back.
        about = [each for each in about if each[0] not in self._removed] or about
        if not about:
            self.edits.insert(self._behind_commands(name), new.text)
            return
        last, words = about[-1]
        text = self._lines[last].text
        if words == new.words:
            self.edits.replace(last, text)
            return
        comment = comment_of(text)
        self.edits.replace(last, f"{_indent(text)}{new.text}{f'  {comment}' if comment else ''}")

    def remove_commands(self, name: str) -> None:
        """Take out all lines of a command."""
        for index, role in enumerate(self._roles):
            if role.kind == "command" and self._lines[index].text.split()[0] == name:
                self._remove(index)
        if name == "repo":
            for each, indexes in self._repository_lines.items():
                self._gone[each, self._repositories[each]] = indexes[-1]
            self._repositories.clear()
            self._repository_lines.clear()

    def _first(self, what: tuple[str, ...], asked: str) -> bool:
        """Whether a thing is asked for the first time; in another way than before it must not be."""
        first = what not in self._asked
        there = self._asked.setdefault(what, asked)
        if there != asked:
            one, other = shown(redact(asked)), shown(redact(there))
            raise InputError(f"{one} contradicts {other}, which is asked for too", "decide for one")
        return first

    def _restored(self, what: tuple[str, str]) -> bool:
        """Whether a line that was taken out said just that; it stays where it was then."""
        index = self._gone.pop(what, None)
        if index is not None:
            self.edits.replace(index, self._lines[index].text)
        return index is not None

    def _remove(self, index: int) -> None:
        self._removed.add(index)
        self.edits.remove(index)

    def _commands(self, name: str) -> list[tuple[int, tuple[str, ...], Mapping[str, Any]]]:
        """The lines of a command that can be read."""
        found = []
        for index, role in enumerate(self._roles):
            text = self._lines[index].text
            if role.kind != "command" or same(text.split(None, 1)[0]) != name or len(text) > 65536:
                continue
            try:
                words = shlex.split(text, comments=True)
                found.append((index, tuple(words), self._reader.read(words, index + 1)[0]))
            except (ValueError, NotUnderstood):
                continue
        return found

    def _behind_commands(self, name: str) -> int:
        """Behind the last line of a command; else behind the last command before the sections, or before those."""
        lines = [
            index
            for index, role in enumerate(self._roles)
            if role.kind == "command" and same(self._lines[index].text.split(None, 1)[0]) == name
        ]
        if lines:
            return lines[-1] + 1
        first = self._before(lambda section: True)
        commands = [i for i, role in enumerate(self._roles[:first]) if role.kind == "command"]
        return commands[-1] + 1 if commands else first

    def _before(self, wanted: Callable[[str], bool]) -> int:
        """The line before which something goes that comes before the first section of a kind: over its comment."""
        first = next(
            (i for i, role in enumerate(self._roles) if role.kind == "header" and wanted(role.section)), None
        )
        if first is None:
            return len(self._lines)
        while first and self._roles[first - 1].kind == "blank" and self._lines[first - 1].text.strip():
            first -= 1
        return first

    def add_entry(self, name: str, *, group: bool) -> None:
        """Put a package or group behind the last one of its kind in the last %packages section."""
        there = self._entries.get((group, name))
        shown_name = f"@{name}" if group else name
        if there:
            kind = "group" if group else "package"
            raise InputError(
                f"{kind} {shown(name)} is excluded by the kickstart (-{shown(shown_name)})",
                "remove the exclusion, or do not add it",
            )
        if there is None:
            self._entries[group, name] = False
            last = self._last[group]
            # The first package goes behind the groups.
            self._put(shown_name, self._last[True] if last is None and not group else last)

    def exclude(self, name: str, group: bool) -> None:
        """Put an exclusion behind the last one in the last %packages section, or behind the packages."""
        there = self._entries.get((group, name))
        shown_name = f"@{name}" if group else name
        if there is False:
            raise InputError(f"{shown(shown_name)} is listed by the kickstart", "remove it too, or do not exclude it")
        if there is None:
            self._entries[group, name] = True
            if self._restored(("-", shown_name)):
                return
            behind = [each for each in (self._last_excluded, *self._last.values()) if each is not None]
            last = self._last_excluded if self._last_excluded is not None else max(behind, default=None)
            self._put(f"-{shown_name}", last)

    def remove_entry(self, name: str, group: bool) -> None:
        """Take out all lines of a package or group."""
        self._entries.pop((group, name), None)
        for index in self._entry_lines.pop((group, name), ()):
            self.edits.remove(index)
            if self._lines[index].text.lstrip().startswith("-"):
                self._gone["-", f"@{name}" if group else name] = index

    def _put(self, text: str, behind: int | None) -> None:
        if self._section is not None:
            neighbour = self._lines[behind].text if behind is not None else ""
            self.edits.insert((self._section if behind is None else behind) + 1, _indent(neighbour) + text)
            return
        self._new_section.append(text)

    def make_section(self) -> None:
        """Make the %packages section that packages were added to, where there is none."""
        if not self._new_section:
            return
        before = self._before(lambda section: section in SCRIPTS)
        lines = ["%packages", *self._new_section, *self._ending()]
        if before and self._lines[before - 1].text.strip():
            lines.insert(0, "")
        if before < len(self._lines):
            lines.append("")
        self.edits.insert(before, *lines)

    def add_section(self, lines: tuple[str, ...]) -> None:
        """Put a section behind everything, unless the same one is there."""
        if self._sections is None:
            self._sections = set(_sections(self._lines, self._roles))
        if (bare := _without_blanks(lines)) in self._sections:
            return
        self._sections.add(bare)
        self.edits.insert(len(self._lines), *([""] if self._lines else []), *lines, *self._ending())

    def _ending(self) -> list[str]:
        """`%end`, but for a file from before it was needed, whose other sections would want one too."""
        old = any(role.kind == "header" for role in self._roles) and not self._ended
        return [] if old else ["%end"]


def _sections(lines: Sequence[Line], kinds: Sequence[Role]) -> Iterator[tuple[str, ...]]:
    """The lines of each section, without its end and blank lines behind it."""
    section: list[str] = []
    for line, role in zip(lines, kinds, strict=True):
        if role.kind in ("header", "end", "command") and section:
            yield _without_blanks(section)
            section = []
        if role.kind == "header" or (section and role.kind in ("body", "include")):
            section.append(line.text)
    if section:
        yield _without_blanks(section)


def _without_blanks(section: Sequence[str]) -> tuple[str, ...]:
    """The lines of a section without blank ones at its end."""
    last = max((index for index, line in enumerate(section) if line.strip()), default=-1)
    return tuple(section[: last + 1])


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _quoted(url: str, like: str) -> str:
    """The URL in the quotes of another one."""
    quote = like[0] if like[:1] in ('"', "'") else '"' if "&" in url else ""
    return f"{quote}{url}{quote}"


def _repo_text(name: str, url: str, model: str) -> str:
    """A `repo` line in the style of another one."""
    quote = '"' if '--name="' in model else ""
    separator = " " if re.search(r"--name\s", model) else "="
    url_quote = '"' if '--baseurl="' in model or "&" in url else ""
    return f"repo --name{separator}{quote}{name}{quote} --baseurl{separator}{url_quote}{url}{url_quote}"
