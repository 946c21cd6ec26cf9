"""Repositories, packages and groups are added to a kickstart's text; everything else stays byte for byte.

A line goes where a person would put it: a repository behind the last one, a package behind the last package,
in the indentation, quotes and line ends of its neighbours. What is there already is not added again, so that
the same augmentation twice is as once. A conflict is told, never guessed: a repository of the same name with
another URL, a package or group that the kickstart excludes.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgcore import names
from imgcore.errors import InputError
from imgcore.kickstart.dialect import NotUnderstood, Reader
from imgcore.kickstart.document import SCRIPTS, Line, lines_of, roles
from imgcore.kickstart.mistakes import shown
from imgcore.kickstart.sections import PACKAGE_NAME

__all__ = ["augment"]

_URL = re.compile(r"(?:(?:https?|ftp)://|file://(?:localhost)?/|/)\S{1,2000}")
_NAMED = re.compile(rf"([A-Za-z0-9_][A-Za-z0-9_.:@+-]*)=({_URL.pattern})")
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_GROUP = re.compile(r"[\w][\w .,+&/()'-]{0,254}")
LONGEST = 4096


@dataclass(frozen=True)
class _Repository:
    """A repository to be added: its name (empty: made from the URL), URL, and its line if one was given whole."""

    name: str
    url: str
    line: str = ""


def augment(
    text: str, *, extra_repos: Sequence[str] = (), packages: Sequence[str] = (), groups: Sequence[str] = ()
) -> str:
    """`text` with what it lacks of the given things.

    An extra repository is a URL, `NAME=URL`, or a whole `repo --name=NAME --baseurl=URL …` line.
    Raises InputError for what cannot be added.
    """
    document = _Document(text)
    for given in extra_repos:
        document.add_repository(_repository(given))
    for group in groups:
        document.add_entry(_group_name(group), group=True)
    for package in packages:
        document.add_entry(_package_name(package), group=False)
    return document.text()


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


def _repository(given: str) -> _Repository:
    text = _one_line("extra repository", given)
    if _URL.fullmatch(text):
        return _Repository("", _checked(text))
    named = _NAMED.fullmatch(text)
    if named is not None:
        return _Repository(named[1], _checked(named[2]))
    values = _repo_line(text, Reader())
    if values is None or not (values.get("baseurl") or values.get("mirrorlist")):
        raise InputError(
            f"extra repository {shown(text)!r} is not understood",
            "give an http, https, ftp or file URL, NAME=URL, or a line repo --name=NAME --baseurl=URL",
        )
    for each in ("baseurl", "mirrorlist"):
        if values.get(each):
            _checked(str(values[each]))
    return _Repository(str(values["name"]), _url(values), text)


def _checked(url: str) -> str:
    """The URL (or absolute path) as it is, after the one validator of repositories has passed it."""
    names.repository_url(f"file://{url}" if url.startswith("/") else url.replace("://localhost/", ":///", 1))
    if "#" in url:
        raise InputError(f"extra repository URL {shown(url)!r} has a #", "write it percent-encoded")
    return url


def _repo_line(text: str, reader: Reader) -> Mapping[str, Any] | None:
    """What a `repo` line says; None if it is none that can be read."""
    try:
        words = shlex.split(text, comments=True)
        return reader.read(words, 1)[0] if words and words[0] == "repo" else None
    except (ValueError, NotUnderstood):
        return None


def _url(values: Mapping[str, Any]) -> str:
    return str(values.get("baseurl") or values.get("mirrorlist") or values.get("metalink") or "")


def _name_for(url: str, taken: Mapping[str, str]) -> str:
    """A name for a repository that came without one: always the same for a URL, and without its credentials."""
    bare = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", _CREDENTIALS.sub(r"\1", url))
    name = re.sub(r"[^A-Za-z0-9_.@]+", "-", bare).strip("-.")[:80] or "extra"
    if name in taken:
        name += "-" + hashlib.sha256(url.encode()).hexdigest()[:8]
    return name


class _Document:
    """The lines, what is in them, and where more goes."""

    def __init__(self, text: str) -> None:
        self._lines = lines_of(text, "")
        self._roles = list(roles(self._lines))
        self._added: dict[int, list[str]] = {}
        self._new_section: list[str] = []
        self._end = self._common_end()
        self._repositories: dict[str, str] = {}
        self._last_repository: int | None = None
        #: (group?, name) to whether the last line about it excludes it.
        self._entries: dict[tuple[bool, str], bool] = {}
        self._section: int | None = None
        self._last: dict[bool, int | None] = {False: None, True: None}
        self._read()

    def _common_end(self) -> str:
        windows = sum(line.end == "\r\n" for line in self._lines)
        return "\r\n" if windows * 2 >= max(len(self._lines), 1) else "\n"

    def _read(self) -> None:
        reader = Reader()
        for index, (line, role) in enumerate(zip(self._lines, self._roles, strict=True)):
            if role.kind == "command" and line.text.split()[0] == "repo":
                self._last_repository = index
                values = _repo_line(line.text[:65536], reader)
                if values is not None:
                    self._repositories[str(values["name"])] = _url(values)
            elif role.section == "%packages" and role.kind == "header":
                self._section = index
                self._last = {False: None, True: None}
            elif role.section == "%packages" and role.kind == "body":
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
        if not excluded:
            self._last[group] = index

    def add_repository(self, new: _Repository) -> None:
        """Put a repository behind the last one, or before the first section."""
        name = new.name
        if not name:
            if new.url in self._repositories.values():
                return
            name = _name_for(new.url, self._repositories)
        there = self._repositories.get(name)
        if there == new.url:
            return
        if there is not None:
            raise InputError(
                f"extra repository {shown(name)}: the kickstart has a repository of that name with another URL,"
                f" {_bare(there)}",
                "give it another name (NAME=URL)",
            )
        self._repositories[name] = new.url
        model = self._lines[self._last_repository].text if self._last_repository is not None else ""
        line = new.line or _repo_text(name, new.url, model)
        indent = model[: len(model) - len(model.lstrip())]
        self._add(self._behind_repositories(), indent + line)

    def _behind_repositories(self) -> int:
        if self._last_repository is not None:
            return self._last_repository + 1
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
        if there is not None:
            return
        self._entries[group, name] = False
        if self._section is None:
            self._new_section.append(shown_name)
            return
        last = self._last[group]
        if last is None and not group:
            # The first package: behind the groups.
            last = self._last[True]
        neighbour = self._lines[last].text if last is not None else ""
        indent = neighbour[: len(neighbour) - len(neighbour.lstrip())]
        self._add((last if last is not None else self._section) + 1, indent + shown_name)

    def _add(self, before: int, text: str) -> None:
        self._added.setdefault(before, []).append(text)

    def text(self) -> str:
        """The whole text."""
        if self._new_section:
            self._make_section()
        parts: list[str] = []
        for index, line in enumerate(self._lines):
            parts.extend(self._rendered(index))
            parts.append(line.text + line.end)
        behind = self._rendered(len(self._lines))
        if behind and self._lines and not self._lines[-1].end:
            # The last line has no line end, so the new last line has none either.
            parts.append(self._end)
            behind[-1] = behind[-1].removesuffix(self._end)
        return "".join(parts + behind)

    def _rendered(self, index: int) -> list[str]:
        added = self._added.get(index, [])
        if not added:
            return []
        end = self._lines[index - 1].end if index else ""
        return [f"{text}{end or self._end}" for text in added]

    def _make_section(self) -> None:
        before = self._before(lambda section: section in SCRIPTS)
        lines = ["%packages", *self._new_section, "%end"]
        if before and self._lines[before - 1].text.strip():
            lines.insert(0, "")
        if before < len(self._lines):
            lines.append("")
        self._added.setdefault(before, []).extend(lines)


def _bare(url: str) -> str:
    return shown(_CREDENTIALS.sub(r"\1", url), 200)


def _repo_text(name: str, url: str, model: str) -> str:
    """A `repo` line in the style of another one."""
    quote = '"' if '--name="' in model else ""
    separator = " " if re.search(r"--name\s", model) else "="
    url_quote = '"' if '--baseurl="' in model or "&" in url else ""
    return f"repo --name{separator}{quote}{name}{quote} --baseurl{separator}{url_quote}{url}{url_quote}"
