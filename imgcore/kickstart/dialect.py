# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command line of a kickstart says, read by pykickstart's commands with mic's dialect on top.

A command is read as the newest pykickstart has it or, where that does not take it, as an older version of
Fedora or RHEL had it, so that kickstarts keep working whose commands or options have been removed since.
Messages are ours: short, with the nearest word. Nothing here keeps state between two kickstarts.
"""

from __future__ import annotations

import argparse
import copy
import functools
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pykickstart.base import BaseHandler, DeprecatedCommand, KickstartCommand, RemovedCommand
from pykickstart.errors import KickstartError as TheirError
from pykickstart.handlers.control import commandMap, dataMap
from pykickstart.options import KSOptionParser
from pykickstart.version import DEVEL

from imgcore.kickstart.mistakes import nearest, shown

__all__ = [
    "MIC",
    "MIC_OPTIONS",
    "NotUnderstood",
    "Reader",
    "is_list",
    "kinds_of",
    "message",
    "names",
    "option_parser",
    "options_of",
    "parser_of",
]

#: pykickstart tells deprecations through Python's warnings, whose filters belong to the whole process.
_FILTERS = threading.Lock()
_NEWEST: Mapping[str, Any] = commandMap[DEVEL]
_Repo: Any = _NEWEST["repo"]
_Bootloader: Any = _NEWEST["bootloader"]
_Partition: Any = _NEWEST["part"]
_Btrfs: Any = _NEWEST["btrfs"]

#: Attributes of pykickstart's objects that say nothing about the kickstart.
_THEIRS = frozenset(("writePriority", "currentCmd", "currentLine", "handler", "lineno", "seen", "op"))


class NotUnderstood(Exception):
    """A command line that no version of the command takes; the text says why, `word` is what it is about."""

    def __init__(self, what: str, word: str = "") -> None:
        super().__init__(what)
        self.word = word


def option_parser(name: str) -> Any:
    """A parser of pykickstart's kind for a command or section of mic's."""
    return KSOptionParser(prog=name, version=DEVEL, description=name)


def _add(parser: Any, *options: str, **how: Any) -> None:
    parser.add_argument(*options, version=DEVEL, help="", **how)


@functools.cache
def _removed(name: str) -> tuple[Any, ...]:
    """The options that older versions of a command had and the newest has not."""
    there = set(parser_of(MIC[name])._option_string_actions)
    found = []
    for version in sorted((each for each in commandMap if each != DEVEL), reverse=True):
        kind = commandMap[version].get(name)
        for action in getattr(parser_of(kind), "_actions", ()) if kind is not None else ():
            if action.option_strings and not there & set(action.option_strings):
                there.update(action.option_strings)
                found.append(action)
    return tuple(found)


class Desktop(KickstartCommand):  # type: ignore[misc]
    """mic's `desktop`."""

    def __init__(self, writePriority: int = 0, *args: Any, **kwargs: Any) -> None:
        super().__init__(writePriority, *args, **kwargs)
        self.op = option_parser("desktop")
        for option in ("--defaultdesktop", "--autologinuser", "--defaultdm", "--session"):
            _add(self.op, option, default="")

    def parse(self, args: Sequence[str]) -> Any:
        """Read the options."""
        self.set_to_self(self.op.parse_args(args=args, lineno=self.lineno))
        return self


class Repo(_Repo):  # type: ignore[misc]
    """`repo` with mic's options. What it lacks (a URL) is said by whoever needs it."""

    urlRequired = False

    def _getParser(self) -> Any:
        parser = super()._getParser()
        for option in ("--save", "--debuginfo", "--source", "--disable"):
            _add(parser, option, action="store_true", default=False)
        _add(parser, "--proxyuser", dest="proxy_username")
        _add(parser, "--proxypasswd", dest="proxy_password")
        _add(parser, "--gpgkey")
        _add(parser, "--ssl_verify", default="yes", choices=("yes", "no"), type=str.lower)
        _add(parser, "--priority", type=int)
        return parser


class Bootloader(_Bootloader):  # type: ignore[misc]
    """`bootloader` with mic's --menus, and --ptable for the kind of partition table."""

    def _getParser(self) -> Any:
        parser = super()._getParser()
        _add(parser, "--menus", default="")
        _add(parser, "--ptable", choices=("msdos", "gpt"))
        return parser


class Partition(_Partition):  # type: ignore[misc]
    """`part` with mic's --align, and --part-type and --uuid."""

    def _getParser(self) -> Any:
        parser = super()._getParser()
        _add(parser, "--align", type=int)
        _add(parser, "--part-type", dest="part_type")
        _add(parser, "--uuid")
        return parser


class Btrfs(_Btrfs):  # type: ignore[misc]
    """`btrfs` with mic's --quota, --snapshot and --base."""

    def _getParser(self) -> Any:
        parser = super()._getParser()
        for option in ("--quota", "--snapshot"):
            _add(parser, option, action="store_true", default=False)
        _add(parser, "--base", default="")
        return parser

    def parse(self, args: Sequence[str]) -> Any:
        """Read the options. Which of them go together is not the same for mic and others, and is not judged here."""
        values, others = self.op.parse_known_args(args=args, lineno=self.lineno)
        unknown = [word for word in others if word.startswith("--")]
        if unknown:
            self.op.error(f"unrecognized arguments: {unknown[0]}")
        self.set_to_self(values)
        return self


MIC: Mapping[str, type] = {
    "desktop": Desktop,
    "repo": Repo,
    "bootloader": Bootloader,
    "part": Partition,
    "partition": Partition,
    "btrfs": Btrfs,
}

#: The options that only mic has.
MIC_OPTIONS: Mapping[str, frozenset[str]] = {
    "repo": frozenset(
        ("--save", "--debuginfo", "--source", "--disable", "--proxyuser", "--proxypasswd", "--gpgkey", "--ssl_verify")
    )
    | {"--priority"},
    "bootloader": frozenset(("--menus", "--ptable")),
    "part": frozenset(("--align", "--part-type", "--uuid")),
    "partition": frozenset(("--align", "--part-type", "--uuid")),
    "btrfs": frozenset(("--quota", "--snapshot", "--base")),
}


def _with_removed(name: str) -> type:
    """mic's class of a command, with what was removed since: mic's dialect is older than its pykickstart."""

    base: Any = MIC[name]

    class WithRemoved(base):  # type: ignore[misc]
        """Only made where a line needs it: that takes as long as reading a kickstart."""

        def _getParser(self) -> Any:
            parser = super()._getParser()
            for action in _removed("part" if name == "partition" else name):
                parser._add_action(action)
            return parser

    return WithRemoved


@functools.cache
def _versions() -> Mapping[str, tuple[type, ...]]:
    """For each command the classes that read it, the preferred one first, without those that only say no."""
    found: dict[str, list[type]] = {name: [kind] for name, kind in MIC.items()}
    for name in MIC_OPTIONS:
        found[name].append(_with_removed(name))
    only_refusing: dict[str, list[type]] = {}
    for version in [DEVEL, *sorted((each for each in commandMap if each != DEVEL), reverse=True)]:
        for name, kind in commandMap[version].items():
            refuses = kind is None or issubclass(kind, (RemovedCommand, DeprecatedCommand))
            kinds = (only_refusing if refuses else found).setdefault(name, [])
            if kind is not None and kind not in kinds:
                kinds.append(kind)
    for name, kinds in only_refusing.items():
        if kinds:
            found.setdefault(name, [kind for kind in kinds if not issubclass(kind, RemovedCommand)] or kinds)
    return MappingProxyType({name: tuple(kinds) for name, kinds in found.items()})


def names() -> frozenset[str]:
    """Every command that is known."""
    return frozenset(_versions())


@functools.cache
def is_list(name: str) -> bool:
    """Whether a command may stand in any number of lines."""
    kinds = _versions().get(name, ())
    return bool(kinds) and _untouched(kinds[0]).dataList() is not None


class _Handler(BaseHandler):  # type: ignore[misc]
    version = DEVEL


def kinds_of(name: str) -> tuple[type, ...]:
    """The classes that read a command in all dialects of the field together, the preferred one first."""
    return _versions().get(name, ())


class Reader:
    """Reads the command lines of one kickstart, by the classes that `kinds` has for a command."""

    def __init__(self, kinds: Callable[[str], tuple[type, ...]] = kinds_of, dialect: str = "") -> None:
        self._kinds = kinds
        self._of = f" of {dialect}" if dialect else ""
        self._handler = _Handler(mapping={"text": _NEWEST["text"]}, dataMapping=dataMap[DEVEL])
        self._commands: dict[type, Any] = {}

    def read(self, words: Sequence[str], line: int) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """The values of a command line, and the options that it gives (by attribute, as they were written).

        Raises NotUnderstood.
        """
        kinds = self._kinds(words[0])
        if not kinds:
            what = f"command {shown(words[0])} is none{self._of}" if words[0] in names() else ""
            raise NotUnderstood(what or f"unknown command {shown(words[0])}{nearest(words[0], names())}", words[0])
        told: Exception | None = None
        options: frozenset[str] = frozenset()
        given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        knowing = False
        for kind in kinds:
            try:
                return self._read(kind, words, line)
            except (TheirError, argparse.ArgumentError, ValueError, TypeError, AttributeError, LookupError) as error:
                # What the first says that knows all of the options; else what the first says.
                if told is None or (not knowing and given <= options_of(kind)):
                    told, knowing = error, given <= options_of(kind)
                options |= options_of(kind)
        what = message(words[0], told or ValueError("it cannot be read"), options)
        raise NotUnderstood(what, next((each for each in words[1:] if each.partition("=")[0] in what), words[0]))

    def _read(self, kind: type, words: Sequence[str], line: int) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        command = self._commands.get(kind) or _fresh(_untouched(kind))
        if command.dataList() is not None:
            self._commands[kind] = command
        command.handler, command.lineno, command.currentCmd = self._handler, line, words[0]
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = command.parse(list(words[1:]))
        values = vars(command if result is None else result).items()
        said = {name: value for name, value in values if name not in _THEIRS}
        return MappingProxyType(said), MappingProxyType(_given(getattr(command, "op", None), words))


@functools.cache
def _untouched(kind: type) -> Any:
    """An object of the class that has read nothing, and never will: `_fresh` makes others like it."""
    return kind()


def parser_of(kind: type) -> Any:
    """The parser of a class, or None if it has none. Never to be parsed with but under the lock here."""
    return getattr(_untouched(kind), "op", None)


def options_of(kind: type) -> frozenset[str]:
    """The options that a class takes."""
    return frozenset(getattr(parser_of(kind), "_option_string_actions", ()))


def _fresh(command: Any) -> Any:
    """Another command like one that has read nothing: it keeps its values, so each line of it gets its own.

    They share the parser, which takes longer to make than a line takes to read.
    """
    made = copy.copy(command)
    for name, value in vars(command).items():
        if isinstance(value, list | dict):
            setattr(made, name, value.copy())
    return made


def _given(parser: Any, words: Sequence[str]) -> dict[str, str]:
    """Which options a line gives: attribute to the word that gave it."""
    actions: Mapping[str, Any] = getattr(parser, "_option_string_actions", {})
    given: dict[str, str] = {}
    for word in words[1:]:
        if word == "--":
            break
        if not word.startswith("--"):
            continue
        option = word.partition("=")[0]
        # argparse takes an unambiguous beginning of an option for the option.
        names = [option] if option in actions else [each for each in actions if each.startswith(option)]
        if names:
            given.setdefault(actions[names[0]].dest, names[0])
    return given


_UNEXPECTED = re.compile(r"(?:unrecognized arguments: |Unexpected arguments to \w+ command: \[['\"])([^\s'\"]+)")
_WHERE_WRONG = re.compile(r"argument (\S+): (.*)")
_INVALID = re.compile(r"invalid (\w+) value: (.*)")


def message(command: str, error: Exception, options: frozenset[str] | Sequence[str]) -> str:
    """What was wrong with a line, in our words, from what pykickstart or argparse said."""
    told = getattr(error, "message", "") or str(error)
    told = " ".join(str(told).split())
    unexpected = _UNEXPECTED.match(told)
    if unexpected is not None:
        word = unexpected[1]
        option = word.partition("=")[0]
        if option.startswith("--"):
            return f"unknown option {shown(option)} of {command}{nearest(option, options)}"
        return f"unexpected word {shown(word)} after {command}"
    if told.startswith("the following arguments are required: "):
        return f"{command} needs {shown(told.removeprefix('the following arguments are required: '))}"
    match = _WHERE_WRONG.fullmatch(told)
    if match is None:
        return f"{command}: {shown(told.removeprefix(f'{command} '), 160)}".rstrip(".")
    option, what = match[1], match[2]
    if what.startswith("expected "):
        return f"option {option} of {command} needs a value"
    invalid = _INVALID.fullmatch(what)
    if invalid is not None:
        kind = "a whole number" if invalid[1] == "int" else "a valid value"
        return f"option {option} of {command}: {shown(invalid[2])} is not {kind}"
    return f"option {shown(option)} of {command}: {shown(what, 160)}"
