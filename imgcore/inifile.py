# SPDX-License-Identifier: GPL-2.0-or-later
"""Ini files: read as a whole or not at all, and the line that each section and option stands in. A leaf."""

from __future__ import annotations

import configparser
import difflib
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgcore.errors import InputError
from imgcore.names import shown

__all__ = ["Finding", "Ini", "nearest", "read"]

#: Far more than a configuration has; whatever is larger is some other file.
_MOST_BYTES = 1 << 20
_OPTION = re.compile(r"\s*([^\s#;\[=:][^=:]*?)\s*(?:[=:]|$)")


@dataclass(frozen=True)
class Finding:
    """What somebody should know of a file. `serious`: it cannot be used like this; `line` 0: it is no line's."""

    file: Path
    message: str
    remedy: str = ""
    serious: bool = False
    line: int = 0
    section: str = ""
    option: str = ""

    def said(self) -> str:
        """The message with where that is; of a file as a whole the message says so itself."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.file}{line}: {self.message}" if self.section else self.message

    def error(self) -> InputError:
        """The error that it is for whoever needs the file."""
        return InputError(self.said(), self.remedy)


@dataclass(frozen=True)
class Ini:
    """A file's sections with their options, in its order."""

    path: Path
    sections: Mapping[str, Mapping[str, str]]
    lines: Mapping[tuple[str, str], int]

    def finding(self, message: str, remedy: str, section: str, option: str = "", *, serious: bool = False) -> Finding:
        """What is to be said of an option, or of a section as a whole."""
        line = self.lines.get((section, option), self.lines.get((section, ""), 0))
        subject = f"[{_plain(section)}] {_plain(option)}".rstrip() if option else f"section [{_plain(section)}]"
        return Finding(self.path, f"{subject}{message}", remedy, serious, line, section, option)


def read(path: Path, *, needed: bool = True, strict: bool = True) -> Ini | None:
    """The file; None where it is not there and not `needed`. Raises InputError.

    Not `strict`: what stands twice counts as it stands last.
    """
    content = _text(path, needed=needed)
    if content is None:
        return None
    # No section gives its options to others: no header has that name.
    parser = configparser.ConfigParser(interpolation=None, default_section="", strict=strict)
    try:
        parser.read_string(content, source=str(path))
    except configparser.Error as error:
        raise _unreadable(path, _reason(error)) from error
    return Ini(path, {name: dict(parser[name]) for name in parser.sections()}, _lines(content))


def nearest(word: str, known: Collection[str]) -> str:
    """What somebody may have meant, else all that there is."""
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _lines(content: str) -> dict[tuple[str, str], int]:
    """Where each option stands last, and where each section (with the option "") begins."""
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(content.split("\n"), 1):
        if header := configparser.ConfigParser.SECTCRE.match(line):
            section = header["header"]
            found[section, ""] = number
        elif option := _OPTION.match(line):
            found[section, option[1].lower()] = number
    return found


def _text(path: Path, *, needed: bool) -> str | None:
    """What the file holds; None where it is not there and need not be."""
    try:
        # Not blocking: the name could be a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISFIFO(kind):
                raise _unreadable(path, "it is not a file")
            os.set_blocking(file.fileno(), True)
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _unreadable(path, f"it has more than {_MOST_BYTES >> 20} MiB")
        return content.decode("utf-8")
    except OSError as error:
        if not needed and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8 text") from error


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"configuration {path} cannot be read: {reason}", "correct or remove the file")


def _reason(error: configparser.Error) -> str:
    """What is wrong with the file's form, in one short sentence."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno}, {shown(error.line.strip())}, stands before the first [section]"
    if isinstance(error, configparser.ParsingError):
        number, line = error.errors[0]
        return f"line {number}, {line[:60]}, is neither a [section] nor an option"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: {shown(error.option)} is there already in [{error.section}]"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: [{error.section}] is there already"
    return " ".join(str(error).split())[:200]


def _plain(text: str) -> str:
    return shown(text)[1:-1]
