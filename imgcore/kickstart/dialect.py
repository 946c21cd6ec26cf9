"""What a command line of a kickstart says, read by pykickstart's commands with mic's dialect on top.

A command is read as the newest pykickstart has it or, where that does not take it, as an older version of
Fedora or RHEL had it, so that kickstarts keep working whose commands or options have been removed since.
Messages are ours: short, with the nearest word. Nothing here keeps state between two kickstarts.
"""

from __future__ import annotations

import argparse
import functools
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pykickstart.base import BaseHandler, DeprecatedCommand, KickstartCommand, RemovedCommand
from pykickstart.errors import KickstartError as TheirError
from pykickstart.handlers.control import commandMap, dataMap
from pykickstart.options import KSOptionParser
from pykickstart.version import DEVEL

from imgcore.kickstart.mistakes import nearest, shown

__all__ = ["NotUnderstood", "Reader", "message", "names", "option_parser"]

#: pykickstart tells deprecations through Python's warnings, whose filters belong to the whole process.
_FILTERS = threading.Lock()
_NEWEST: Mapping[str, Any] = commandMap[DEVEL]
_Repo: Any = _NEWEST["repo"]
_Bootloader: Any = _NEWEST["bootloader"]
_Partition: Any = _NEWEST["part"]
_Btrfs: Any = _NEWEST["btrfs"]


class NotUnderstood(Exception):
    """A command line that no version of the command takes; the text says why."""


def option_parser(name: str) -> Any:
    """A parser of pykickstart's kind for a command or section of mic's."""
    return KSOptionParser(prog=name, version=DEVEL, description=name)


def _add(parser: Any, *options: str, **how: Any) -> None:
    parser.add_argument(*options, version=DEVEL, help="", **how)


@functools.cache
def _removed(name: str) -> tuple[Any, ...]:
    """The options that older versions of a command had and the newest has not."""
    there = set(_NEWEST[name]().op._option_string_actions)
    found = []
    for version in sorted((each for each in commandMap if each != DEVEL), reverse=True):
        parser = getattr(commandMap[version].get(name, _NEWEST[name])(), "op", None)
        for action in getattr(parser, "_actions", ()):
            if action.option_strings and not there & set(action.option_strings):
                there.update(action.option_strings)
                found.append(action)
    return tuple(found)


def _add_removed(parser: Any, name: str) -> None:
    """mic's dialect is older than its pykickstart: what was removed since is still used beside what is new."""
    for action in _removed(name):
        parser._add_action(action)


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
        _add_removed(parser, "repo")
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
        _add_removed(parser, "bootloader")
        _add(parser, "--menus", default="")
        _add(parser, "--ptable", choices=("msdos", "gpt"))
        return parser


class Partition(_Partition):  # type: ignore[misc]
    """`part` with mic's --align, and --part-type and --uuid."""

    def _getParser(self) -> Any:
        parser = super()._getParser()
        _add_removed(parser, "part")
        _add(parser, "--align", type=int)
        _add(parser, "--part-type", dest="part_type")
        _add(parser, "--uuid")
        return parser


class Btrfs(_Btrfs):  # type: ignore[misc]
    """`btrfs` with mic's --quota, --snapshot and --base."""

    def _getParser(self) -> Any:
        parser = super()._getParser()
        _add_removed(parser, "btrfs")
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


_MIC: Mapping[str, type] = {
    "desktop": Desktop,
    "repo": Repo,
    "bootloader": Bootloader,
    "part": Partition,
    "partition": Partition,
    "btrfs": Btrfs,
}


@functools.cache
def _versions() -> Mapping[str, tuple[type, ...]]:
    """For each command the classes that read it, the preferred one first, without those that only say no."""
    found: dict[str, list[type]] = {name: [kind] for name, kind in _MIC.items()}
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


class _Handler(BaseHandler):  # type: ignore[misc]
    version = DEVEL


class Reader:
    """Reads the command lines of one kickstart."""

    def __init__(self) -> None:
        self._handler = _Handler(mapping={"text": _NEWEST["text"]}, dataMapping=dataMap[DEVEL])
        self._commands: dict[type, Any] = {}

    def read(self, words: Sequence[str], line: int) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """The values of a command line, and the options that it gives (by attribute, as they were written).

        Raises NotUnderstood.
        """
        kinds = _versions().get(words[0])
        if kinds is None:
            raise NotUnderstood(f"unknown command {shown(words[0])}{nearest(words[0], names())}")
        first: Exception | None = None
        options: frozenset[str] = frozenset()
        for kind in kinds:
            try:
                return self._read(kind, words, line)
            except (TheirError, argparse.ArgumentError, ValueError, TypeError, AttributeError, LookupError) as error:
                if first is None:
                    first = error
                parser = getattr(self._commands.get(kind), "op", None)
                options |= frozenset(getattr(parser, "_option_string_actions", ()))
        raise NotUnderstood(message(words[0], first or ValueError("it cannot be read"), options))

    def _read(self, kind: type, words: Sequence[str], line: int) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        command = self._commands.get(kind)
        if command is None or command.dataList() is None:
            # A command without a list keeps its values: a second line of it gets an object of its own.
            command = kind()
        self._commands[kind] = command
        command.handler, command.lineno, command.currentCmd = self._handler, line, words[0]
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = command.parse(list(words[1:]))
        values = vars(command if result is None else result)
        return MappingProxyType(dict(values)), MappingProxyType(_given(getattr(command, "op", None), words))


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
