# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart is moved to another dialect: its text stays, but for what that dialect writes in another way or lacks.

What has another name there gets it; an option that is not there is taken out, a command or section that is not there
becomes a comment. Each is told, so that nothing is lost in silence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from imgcore.kickstart.dialect import NotUnderstood, kinds_of, options_of, parser_of
from imgcore.kickstart.document import MIC_MARK, Line, Role, comment_of, lines_of, roles
from imgcore.kickstart.edit import Edits
from imgcore.kickstart.mistakes import Grade, Mistake
from imgcore.kickstart.read import LONGEST_COMMAND
from imgcore.kickstart.versions import Dialect

__all__ = ["Converted", "convert"]

_WORD = re.compile(r"(?:\"[^\"]*+\"|'[^']*+'|[^\s\"'#]++)++")
#: Options that have another spelling in another dialect; the first that the dialect takes is used.
_SPELLINGS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "timezone": (("--utc", "--isUtc"),),
    "firewall": (("--service", "--services"), ("--enabled", "--enable"), ("--disabled", "--disable")),
    "part": (("--ondisk", "--ondrive"), ("--fsoptions", "--fsopts")),
}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "part": ("part", "partition"),
    "partition": ("partition", "part"),
    "auth": ("auth", "authconfig"),
    "authconfig": ("authconfig", "auth"),
    "halt": ("halt", "shutdown"),
}
#: Options of %packages, the newest spelling first.
_PACKAGES = (("--inst-langs", "--instLangs"), ("--exclude-weakdeps", "--excludeWeakdeps"))


@dataclass(frozen=True)
class Converted:
    """The text in the other dialect, what was changed as a diff, and what could not be carried over."""

    text: str
    diff: str
    lost: tuple[Mistake, ...]


def convert(text: str, name: str, to: Dialect) -> Converted:
    """`text` in the dialect `to`."""
    return _Conversion(text, name, to).done()


class _Conversion:
    def __init__(self, text: str, name: str, to: Dialect) -> None:
        self._lines = lines_of(text, name)
        self._roles = list(roles(self._lines))
        self._name, self._to = name, to
        self._edits = Edits(self._lines)
        self._lost: list[Mistake] = []
        self._reader = to.reader()

    def done(self) -> Converted:
        """Go through all lines."""
        skipping = False
        opened = False
        for index, (line, role) in enumerate(zip(self._lines, self._roles, strict=True)):
            if role.kind == "header":
                if opened and self._to.needs_end and not skipping:
                    self._edits.insert(index, "%end")
                opened = True
                skipping = not self._to.has_section(role.section.removeprefix("%"))
                self._header(index, line, role, skipping)
            elif role.kind == "command":
                self._command(index, line)
            elif skipping:
                self._edits.replace(index, f"# {line.text}" if line.text.strip() else line.text)
                skipping = role.kind != "end"
            elif MIC_MARK in line.text and index < 20 and self._to.name != "mic":
                self._lose(line, "the options of mic in the header", MIC_MARK)
                self._edits.replace(index, line.text.replace(MIC_MARK, "mic2-options:"))
            opened = opened and role.kind != "end"
        if opened and self._to.needs_end and not skipping:
            self._edits.insert(len(self._lines), "%end")
        return Converted(self._edits.text(), self._edits.diff(self._name), tuple(self._lost))

    def _lose(self, line: Line, what: str, word: str) -> None:
        told = f"{what} cannot be carried over to {self._to.name}"
        self._lost.append(Mistake(line.place, told, "", Grade.WARNING, "dialect", word))

    def _header(self, index: int, line: Line, role: Role, skipping: bool) -> None:
        if skipping:
            self._lose(line, f"section {role.section}", role.section)
            self._edits.replace(index, f"# {line.text}")
        elif role.section == "%packages":
            new = line.text
            for newest, *older in _PACKAGES if self._to.name != "mic" and self._to.needs_end else ():
                for each in older:
                    new = re.sub(rf"(?<!\S){re.escape(each)}(?![\w-])", newest, new)
            self._edits.replace(index, new)

    def _command(self, index: int, line: Line) -> None:
        words = self._words(line.text)
        if not words or self._taken(words):
            return
        for text in self._spelled(line.text, words[0]):
            if self._taken(self._words(text)):
                self._edits.replace(index, text)
                return
        if any(self._to.kinds(each) for each in _NAMES.get(words[0], (words[0],))):
            text = self._without_options(line)
            if text:
                self._edits.replace(index, text)
                return
        else:
            self._lose(line, words[0], words[0])
        self._edits.replace(index, f"# {line.text}")

    @staticmethod
    def _words(text: str) -> list[str]:
        try:
            return shlex.split(text, comments=True) if len(text) <= LONGEST_COMMAND else []
        except ValueError:
            return []

    def _taken(self, words: list[str]) -> bool:
        try:
            self._reader.read(words, 1)
        except NotUnderstood:
            return False
        return True

    def _spelled(self, text: str, command: str) -> list[str]:
        """The line as the dialect may write it."""
        found = [text]
        for name in _NAMES.get(command, (command,)):
            if name != command:
                found.append(re.sub(rf"^(\s*){re.escape(command)}\b", rf"\1{name}", text))
        for spellings in _SPELLINGS.get(command, ()):
            for one in spellings:
                for other in spellings:
                    found += [re.sub(rf"(?<!\S){re.escape(one)}(?![\w-])", other, each) for each in found[:4]]
        return list(dict.fromkeys(found))[1:]

    def _without_options(self, line: Line) -> str:
        """The line without the options that the dialect has not got; nothing if it is not taken even then."""
        given = self._words(line.text)[0]
        command = next(each for each in _NAMES.get(given, (given,)) if self._to.kinds(each))
        text = line.text.replace(given, command, 1)
        if command == "repo":
            text = text.replace("--ssl_verify=no", "--noverifyssl").replace("--save", "--install")
        known = {option for kind in self._to.kinds(command) for option in options_of(kind)}
        flags = _flags(command)
        comment = comment_of(text)
        code = text[: len(text.rstrip()) - len(comment)] if comment else text
        spans: list[tuple[int, int]] = []
        lost: list[str] = []
        found = list(_WORD.finditer(code))
        for position, match in enumerate(found):
            option, equals, _ = match[0].partition("=")
            if not option.startswith("--") or option in known:
                continue
            end = match.end()
            following = found[position + 1] if position + 1 < len(found) else None
            if not equals and option not in flags and following is not None and not following[0].startswith("-"):
                end = following.end()
            spans.append((match.start(), end))
            lost.append(option)
        for start, end in reversed(spans):
            code = code[:start].rstrip() + code[end:]
        if not self._taken(self._words(code)):
            self._lose(line, command, command)
            return ""
        for option in lost:
            if "--ssl_verify=yes" in line.text and option == "--ssl_verify":
                # It is what happens anyway.
                continue
            self._lose(line, f"{option} of {command}", option)
        return f"{code.rstrip()}  {comment}" if comment else code


def _flags(command: str) -> frozenset[str]:
    """The options of a command that take no value, in whatever dialect."""
    return frozenset(
        option
        for kind in kinds_of(command)
        for option, action in getattr(parser_of(kind), "_option_string_actions", {}).items()
        if action.nargs == 0
    )
