# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart is read: from bytes to a `Kickstart`, or to one InputError that tells every mistake.

Nothing in the kickstart is executed, nothing outside the root is opened, and time and memory are bounded
for any input. What a command asks for is judged by `plan`, not here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgcore.errors import InputError
from imgcore.kickstart import include, sections
from imgcore.kickstart.decode import decode
from imgcore.kickstart.dialect import NotUnderstood, Reader
from imgcore.kickstart.document import INCLUDES, MIC_MARK, SCRIPTS, SECTIONS, Line, lines_of, roles
from imgcore.kickstart.mistakes import Grade, KickstartError, Mistake, Notes, TooMany, nearest, shown
from imgcore.kickstart.model import (
    Command,
    Entry,
    Header,
    Kickstart,
    PackageSection,
    ScriptSection,
    Section,
)
from imgcore.kickstart.tokens import replacer, unresolved

__all__ = ["Findings", "flat", "header", "read", "read_all"]

MOST_COMMANDS = 5000
LONGEST_COMMAND = 65536


def read(
    content: bytes, name: str, *, root: Path | None = None, tokens: Mapping[str, str] | None = None
) -> Kickstart:
    """The kickstart in `content`, which messages call `name`.

    `root` is the directory that %include may name files of (None: no includes); a `name` with directories is
    relative to it. Raises InputError.
    """
    name = shown(name, 200)
    text = decode(content, name)
    known = dict(tokens or {})
    if root is not None:
        replaced = replacer(known)(text)
        root = root if any(word in replaced for word in INCLUDES) else None
    if root is None:
        return _read_alone(text, name, tuple(sorted(known.items())))
    return _read(text, name, root, known)


def flat(content: bytes, name: str, *, root: Path | None, tokens: Mapping[str, str], given: Mapping[str, str]) -> str:
    """The text of a kickstart with included files in place, for those who have not got these. Raises InputError.

    Only the tokens `given` are replaced in it; what is in `tokens` can name files.
    """
    notes = Notes()
    with contextlib.suppress(TooMany):
        name = shown(name, 200)
        lines = include.expand(decode(content, name), name, root, replacer(given), notes, naming=replacer(tokens))
    notes.check()
    return "".join(f"{line.text}{line.end}" for line in lines)


def header(text: str) -> Header:
    """What a kickstart's first lines say of type and architecture, which its tokens can depend on."""
    return mic_header(lines_of(text, ""), Notes())


# What includes nothing is the same each time, and is asked for three times: by `build_ks`, to check and to build.
@functools.lru_cache(maxsize=1)
def _read_alone(text: str, name: str, tokens: tuple[tuple[str, str], ...]) -> Kickstart:
    return _read(text, name, None, dict(tokens))


def _read(text: str, name: str, root: Path | None, tokens: Mapping[str, str]) -> Kickstart:
    notes = Notes()
    reading = _Reading(name, notes, Reader())
    lines: list[Line] = []
    with contextlib.suppress(TooMany):
        reading.walk(include.expand(text, name, root, replacer(tokens), notes, lines))
    try:
        notes.check()
    except KickstartError as error:
        wrong = {(each.place.file, each.place.line) for each in error.mistakes}
        error.lines = {key: line.text for line in lines if (key := (line.place.file, line.place.line)) in wrong}
        raise
    return reading.kickstart()


@dataclass(frozen=True)
class Findings:
    """What could be read of a kickstart, the lines of all its files, and everything that was found on the way."""

    kickstart: Kickstart
    lines: tuple[Line, ...]
    found: tuple[Mistake, ...]
    #: Grades of which there was more than is told.
    cut: frozenset[Grade] = frozenset()


def read_all(
    content: bytes,
    name: str,
    *,
    root: Path | None = None,
    tokens: Mapping[str, str] | None = None,
    reader: Reader | None = None,
) -> Findings:
    """Like `read`, but what is wrong is told beside what is not. Raises InputError for what is no text."""
    name = shown(name, 200)
    notes = Notes()
    reading = _Reading(name, notes, reader or Reader())
    lines: list[Line] = []
    with contextlib.suppress(TooMany):
        text = decode(content, name)
        reading.walk(include.expand(text, name, root, replacer(tokens or {}), notes, lines))
    found = (*notes.mistakes, *notes.warned)
    return Findings(reading.kickstart(), tuple(lines), found, frozenset(notes.cut))


@dataclass
class _Reading:
    name: str
    notes: Notes
    reader: Reader
    lines: Sequence[Line] = ()
    header: Header = field(default_factory=Header)
    commands: list[Command] = field(default_factory=list)
    packages: list[PackageSection] = field(default_factory=list)
    prepackages: list[Entry] = field(default_factory=list)
    attachments: list[Entry] = field(default_factory=list)
    scripts: list[ScriptSection] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    all_sections: list[Section] = field(default_factory=list)

    def kickstart(self) -> Kickstart:
        """What was read."""
        return Kickstart(
            name=self.name,
            text="".join(f"{line.text}{line.end}" for line in self.lines),
            commands=tuple(self.commands),
            packages=tuple(self.packages),
            prepackages=tuple(self.prepackages),
            attachments=tuple(self.attachments),
            scripts=tuple(self.scripts),
            sections=tuple(self.sections),
            all_sections=tuple(self.all_sections),
            header=self.header,
            warnings=self.notes.warnings,
        )

    def walk(self, lines: Sequence[Line]) -> None:
        """Read all lines. Raises TooMany."""
        self.lines = lines
        self._walk(lines)
        self.header = mic_header(lines, self.notes)
        if not self.notes.mistakes and not (
            self.commands or self.packages or self.scripts or self.prepackages or self.attachments
        ):
            raise InputError(f"{self.name} has no command and no section", "is it a kickstart?")

    def _walk(self, lines: Sequence[Line]) -> None:
        opened: Line | None = None
        section = ""
        body: list[Line] = []
        unclosed: list[tuple[str, Line]] = []
        ended = False
        for line, role in zip(lines, roles(lines), strict=True):
            if role.kind in ("header", "end") and opened is not None:
                self._section(section, opened, body)
                if role.kind == "header":
                    unclosed.append((section, opened))
                opened = None
            elif role.kind == "end":
                self.notes.mistake(line.place, "%end without a section before it")
            ended = ended or role.kind == "end"
            if role.kind == "header":
                opened, section, body = line, role.section, []
            elif role.kind == "body":
                body.append(line)
            elif role.kind == "command":
                self._command(line)
        if opened is not None:
            self._section(section, opened, body)
            unclosed.append((section, opened))
        for section, header in unclosed:
            if ended:
                self.notes.mistake(header.place, f"{section} does not end with %end", "add a line %end behind it")
            else:
                self.notes.warning(header.place, f"{section} has no %end: read as before Fedora 8")

    def _command(self, line: Line) -> None:
        if len(self.commands) >= MOST_COMMANDS:
            self.notes.mistake(line.place, f"more than {MOST_COMMANDS} commands")
            raise TooMany
        if len(line.text) > LONGEST_COMMAND:
            self.notes.mistake(line.place, f"a line of {len(line.text)} characters")
            return
        try:
            words = shlex.split(line.text, comments=True)
        except ValueError as error:
            what = {"No closing quotation": "a quotation mark is not closed"}.get(str(error))
            what = what or "a command cannot go on in the next line"
            self.notes.mistake(line.place, what, "write the whole command in one line")
            return
        if not words or not words[0]:
            self.notes.mistake(line.place, "a command without a name")
            return
        try:
            values, given = self.reader.read(words, line.place.line)
        except NotUnderstood as error:
            self.notes.mistake(line.place, str(error), word=error.word)
            return
        self.commands.append(Command(words[0], tuple(words), line.place, values, given))
        token = next((token for word in words if (token := unresolved(word))), "")
        if token and words[0] in ("repo", "url"):
            self.notes.mistake(line.place, *_no_value(token, words[0]), word=f"@{token}@", rule="token")
        elif token:
            self.notes.warning(line.place, _no_value(token, words[0])[0], word=f"@{token}@", rule="token")

    def _section(self, section: str, header: Line, body: Sequence[Line]) -> None:
        if section in SECTIONS:
            self.all_sections.append(Section(section.removeprefix("%"), header.place))
        if section in SCRIPTS:
            script = sections.script(section, header, body, self.notes)
            self.scripts.extend([script] if script else [])
        elif section == "%packages":
            found = sections.packages(header, body, self.notes)
            self.packages.extend([found] if found else [])
        elif section == "%prepackages":
            self.prepackages.extend(sections.prepackages(header, body, self.notes))
        elif section == "%attachment":
            self.attachments.extend(sections.attachments(header, body, self.notes))
        elif section in SECTIONS:
            text = "".join(f"{line.text}\n" for line in body)
            self.sections.append(dataclasses.replace(self.all_sections[-1], header=header.text.strip(), body=text))
        else:
            what = f"unknown section {shown(section)}{nearest(section, SECTIONS)}"
            self.notes.mistake(header.place, what, word=section)


def mic_header(lines: Sequence[Line], notes: Notes) -> Header:
    """mic's options, which are in a comment of one of the first lines."""
    for line in lines[:20]:
        parts = line.text.split(MIC_MARK)
        if len(parts) < 3 or not line.text.lstrip().startswith("#"):
            continue
        try:
            words = shlex.split(parts[1][:1024])
        except ValueError:
            notes.warning(line.place, "mic's options are not understood")
            return Header()
        return _mic_options(line, words, notes)
    return Header()


def _mic_options(line: Line, words: list[str], notes: Notes) -> Header:
    found = {"image_type": "", "arch": ""}
    known = {"-f": "image_type", "--format": "image_type", "-A": "arch", "--arch": "arch"}
    while words:
        option, equals, value = words.pop(0).partition("=")
        if option not in known:
            notes.warning(line.place, f"mic's option {shown(option)} is not used", word=option)
            continue
        if not equals:
            value = words.pop(0) if words else ""
        found[known[option]] = value
    return Header(**found)


def _no_value(token: str, command: str) -> tuple[str, str]:
    return f"token @{token}@ of {command} has no value", f"give one with --tokenmap {token}:VALUE"
