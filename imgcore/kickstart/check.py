# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of a kickstart that go into files of the image, each checked once for what it may be made of.

A value that does not fit is a mistake with the option's name; the creator checks nothing again.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from imgcore.kickstart.mistakes import Notes, shown
from imgcore.kickstart.model import Command

__all__ = ["Checker"]

_PATTERNS = {
    "language": re.compile(r"[A-Za-z]{1,16}([._@-][A-Za-z0-9._@-]{0,48})?"),
    "keymap": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.()+-]{0,63}"),
    "time zone": re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}"),
    "user name": re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?"),
    "group name": re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?"),
    "path": re.compile(r"/(?!.*(?:^|/)\.\.(?:/|$))[^:\x00-\x1f\x7f]{0,1023}"),
    "comment": re.compile(r"[^:\x00-\x1f\x7f]{0,255}"),
    "service": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,254}"),
    "port": re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(:(tcp|udp|sctp|dccp))?"),
    "host name": re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62})?){0,20}"),
    "interface": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,30}"),
    "network name": re.compile(r"[^\x00-\x1f\x7f\"\\]{1,32}"),
    "disk": re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}"),
    "label": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +-]{0,35}"),
    "mount options": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,=:/@+-]{0,254}"),
    "repository name": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}"),
    "repository URL": re.compile(r"(?:(?:https?|ftp)://|file://(?:localhost)?/|/)[^\s\x00-\x1f\x7f\"'<>\\]{1,2000}"),
    "URL": re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\x00-\x1f\x7f\"'<>\\]{1,2000}"),
    "proxy": re.compile(r"(?:[A-Za-z][A-Za-z0-9]{0,20}://)?[^\s\x00-\x1f\x7f\"'<>\\]{1,1000}"),
    "session": re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./ =+-]{0,254}"),
    "UUID": re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "partition type": re.compile(
        r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(0x)?[0-9A-Fa-f]{1,2}|[0-9A-Fa-f]{4}"
    ),
    "languages": re.compile(r"[A-Za-z0-9_.@:%-]{0,255}"),
}


class Checker:
    """Checks the values of one command."""

    def __init__(self, command: Command, notes: Notes) -> None:
        self.command = command
        self.notes = notes
        self.line = command.place.outer

    def value(self, attribute: str) -> Any:
        """What the command says, unchecked."""
        return self.command.values.get(attribute)

    def mistake(self, what: str, remedy: str = "", *, rule: str = "") -> None:
        """Note a mistake of this command."""
        self.notes.mistake(self.command.place, f"{self.command.name}: {what}", remedy, rule=rule)

    def refuse(self, what: str, remedy: str = "") -> None:
        """Note something that the built-in creator does not do."""
        self.mistake(what, remedy, rule="tool")

    def warning(self, what: str) -> None:
        """Note a warning about this command."""
        self.notes.warning(self.command.place, f"{self.command.name}: {what}")

    def text(self, kind: str, value: object) -> str:
        """`value` as text if it may be a thing of that kind; nothing is nothing."""
        text = "" if value is None else str(value)
        if text and not _PATTERNS[kind].fullmatch(text):
            self.mistake(f"{shown(text)!r} is not a valid {kind}")
            return ""
        return text

    def texts(self, kind: str, values: Any) -> tuple[str, ...]:
        """Each of `values`, checked; the same one only once."""
        return tuple(dict.fromkeys(filter(None, (self.text(kind, value) for value in values or ()))))

    def address(self, value: object, *, prefix: bool = False) -> str:
        """An IP address (with `prefix`, one that may have a prefix length)."""
        text = "" if value is None else str(value)
        try:
            if text:
                ipaddress.ip_interface(text) if prefix else ipaddress.ip_address(text)
        except ValueError:
            self.mistake(f"{shown(text)} is not an IP address")
            return ""
        return text

    def number(self, what: str, value: object, low: int, high: int) -> int:
        """A whole number between two bounds; nothing is 0."""
        if value in (None, ""):
            return 0
        try:
            number = int(str(value))
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self.mistake(f"{what} {shown(str(value))} is not a whole number from {low} to {high}")
            return 0
        return number
