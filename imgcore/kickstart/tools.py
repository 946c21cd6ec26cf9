# SPDX-License-Identifier: GPL-2.0-or-later
"""What mic 1.x and mic2 do with each command, option and section: the table by which a kickstart is judged for them.

They end well also when they did not do what was asked: a line that their parser does not take is printed and left
out (`left out`), and much that it takes has no effect (`ignored`). What the built-in creator does is in `judged`.
Read off the sources of mic 1.0.2 and of the last mic2, whose configuration classes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pykickstart.base import RemovedCommand
from pykickstart.handlers.control import commandMap
from pykickstart.version import DEVEL, versionMap

from imgcore.kickstart.dialect import options_of
from imgcore.kickstart.mistakes import Grade, Notes
from imgcore.kickstart.model import Command, Kickstart, PackageSection, ScriptSection

__all__ = ["MIC", "MIC2", "MIC_TOOLS", "Tool"]

_DONE, _IGNORED, _LEFT_OUT = "done", "ignored", "left out"


@dataclass(frozen=True)
class Tool:
    """A tool: how it reads (`version` is pykickstart's, `taken` its own commands), and what has an effect."""

    name: str
    version: int
    #: Commands that it reads by its own class: the version it is based on, and the options on top.
    taken: Mapping[str, tuple[int | None, frozenset[str]]]
    #: Commands with effect, and their attributes that have one.
    effects: Mapping[str, frozenset[str]]
    sections: frozenset[str]

    def options(self, command: str) -> frozenset[str] | None:
        """The options of a command that its parser takes; None where it does not take the command."""
        if command in self.taken:
            base, more = self.taken[command]
            return more | (_options(base, command) or frozenset()) if base is not None else more
        return _options(self.version, command)

    def of_command(self, command: str) -> str:
        """`done`, `ignored` or `left out`."""
        if self.options(command) is None:
            return _LEFT_OUT
        return _DONE if command in self.effects else _IGNORED

    def of_option(self, command: str, option: str, attribute: str) -> str:
        """What becomes of an option of a command that is done."""
        options = self.options(command)
        if options is None or option not in options:
            return _LEFT_OUT
        return _DONE if attribute in self.effects.get(command, ()) else _IGNORED

    def judge(self, kickstart: Kickstart, notes: Notes) -> None:
        """Note what it ignores and what it leaves out."""
        for command in kickstart.commands:
            self._judge(command, notes)
        for section in kickstart.all_sections:
            if section.kind not in self.sections:
                notes.warning(section.place, f"%{section.kind} is ignored", word=f"%{section.kind}")
        for script in kickstart.scripts:
            self._judge_script(script, notes)
        for packages in kickstart.packages:
            self._judge_packages(packages, notes)

    def _judge(self, command: Command, notes: Notes) -> None:
        becomes = self.of_command(command.name)
        if becomes == _LEFT_OUT:
            notes.warning(command.place, f"{command.name} is unknown: the line is left out", word=command.name)
            return
        outside = [each for each in command.given.values() if each not in (self.options(command.name) or ())]
        if outside:
            what = f"{', '.join(outside)} of {command.name} is unknown: the whole line is left out"
            notes.warning(command.place, what, word=outside[0])
        elif becomes == _IGNORED:
            notes.warning(command.place, f"{command.name} is ignored", word=command.name, grade=Grade.NOTE)
        else:
            for attribute, option in command.given.items():
                if attribute not in self.effects[command.name]:
                    notes.warning(command.place, f"{option} of {command.name} is ignored", word=option)

    def _judge_script(self, script: ScriptSection, notes: Notes) -> None:
        if script.kind not in self.sections:
            return
        if script.interpreter not in ("", "/bin/bash", "/bin/sh"):
            what = f"--interpreter of %{script.kind} is ignored: it runs with /bin/bash"
            notes.warning(script.place, what, word="--interpreter")
        if script.log:
            notes.warning(script.place, f"--log of %{script.kind} is ignored", word="--log")

    def _judge_packages(self, section: PackageSection, notes: Notes) -> None:
        for option in section.options:
            if option not in ("excludedocs", "ignoremissing", "inst-langs", "nobase", "nocore"):
                notes.warning(section.place, f"--{option} of %packages is ignored", word=f"--{option}")


def _options(version: int, command: str) -> frozenset[str] | None:
    """The options that a version of Fedora has of a command; None where it has not got it."""
    kind = commandMap[version].get(command)
    if kind is None or issubclass(kind, RemovedCommand):
        return None
    return options_of(kind)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_F8, _FC4 = versionMap["F8"], versionMap["FC4"]
_REPO = _words(
    "--save --debuginfo --source --disable --proxy --proxyuser --proxypasswd --gpgkey --ssl_verify --priority"
)
_DESKTOP = _words("--defaultdesktop --autologinuser --defaultdm --session")
_EFFECTS: Mapping[str, frozenset[str]] = {
    "lang": frozenset(),
    "timezone": _words("isUtc"),
    "firewall": _words("enabled"),
    "rootpw": _words("isCrypted"),
    "user": _words("name groups password isCrypted"),
    "services": _words("enabled disabled"),
    "xconfig": _words("startX defaultdesktop"),
    "network": _words(
        "device bootProto ip netmask onboot essid ethtool hostname dhcpclass mtu wepkey ipv6 nodns gateway nameserver"
    ),
    "desktop": _words("defaultdesktop autologinuser session"),
    "repo": _words(
        "name baseurl mirrorlist cost includepkgs excludepkgs save proxy proxy_username proxy_password debuginfo"
        " source gpgkey disable ssl_verify priority"
    ),
    "bootloader": _words("appendLine timeout menus default"),
    "part": _words("size disk fstype label fsopts active align"),
}

MIC = Tool(
    "mic",
    DEVEL,
    {
        "desktop": (None, _DESKTOP),
        "repo": (_F8, _REPO),
        "bootloader": (_F8, _words("--menus")),
        "part": (_FC4, _words("--align")),
        "partition": (_FC4, _words("--align")),
        "btrfs": (
            None,
            _words("--noformat --useexisting --quota --subvol --snapshot --label --data --metadata")
            | _words("--parent --name --base"),
        ),
    },
    {
        **_EFFECTS,
        "partition": _EFFECTS["part"],
        "btrfs": _words("format preexist quota subvol snapshot label dataLevel metaDataLevel parent name base"),
    },
    _words("packages prepackages attachment pre post pack"),
)
MIC2 = Tool(
    "mic2",
    versionMap["F14"],
    {
        "desktop": (None, _DESKTOP),
        "repo": (_F8, _REPO),
        "bootloader": (_F8, _words("--menus")),
        "part": (_FC4, _words("--align")),
        "partition": (_FC4, _words("--align")),
    },
    {**_EFFECTS, "partition": _EFFECTS["part"], "auth": frozenset(), "authconfig": frozenset()},
    _words("packages post"),
)
MIC_TOOLS: Mapping[str, Tool] = {each.name: each for each in (MIC, MIC2)}
