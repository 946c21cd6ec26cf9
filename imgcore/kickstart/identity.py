# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command line speaks of: two lines about the same thing (`part /` twice) have the same identity.

Of a command that can stand only once, all lines have the same; of one that is a list of things without a name, each
line is a thing of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgcore.kickstart.dialect import is_list

__all__ = ["identity", "same"]

_SAME = {"partition": "part", "auth": "authconfig"}
#: The attributes that name the thing.
_NAMED_BY: Mapping[str, tuple[str, ...]] = {
    "btrfs": ("mountpoint", "label", "name"),
    "group": ("name",),
    "logvol": ("vgname", "name"),
    "module": ("name",),
    "mount": ("device",),
    "network": ("device",),
    "part": ("mountpoint",),
    "raid": ("device",),
    "repo": ("name",),
    "sshkey": ("username", "key"),
    "sshpw": ("username",),
    "user": ("name",),
    "volgroup": ("vgname",),
}
#: What a partition can be for that is not mounted, and has no name.
_WITHOUT_PLACE = frozenset(("swap", "biosboot", "prepboot", "None", ""))
#: What a `network` line may have that is about the system's name alone.
_WITH_HOST_NAME = ("--hostname", "--activate", "--notksdevice")


def same(name: str) -> str:
    """The name that a command has in newer kickstarts."""
    return _SAME.get(name, name)


def identity(words: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the command line speaks of, beginning with the command."""
    name = same(words[0])
    if name == "network" and _only_host_name(words):
        return (name, "hostname")
    if name in _NAMED_BY:
        given = tuple(_text(values.get(each)) for each in _NAMED_BY[name])
        if name == "part" and given[0] in _WITHOUT_PLACE:
            # There can be one on each disk; where none is named, it is the first.
            given = (*given, _text(values.get("disk") or values.get("onPart") or "sda").removeprefix("/dev/"))
        return (name, *given)
    return (name, *words[1:]) if is_list(name) else (name,)


def _only_host_name(words: Sequence[str]) -> bool:
    """Whether a `network` line gives the system's name and says nothing of an interface."""
    options = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    # As argparse has it, a beginning of an option is the option.
    meant = {next((each for each in _WITH_HOST_NAME if each.startswith(option)), "") for option in options}
    return "--hostname" in meant and "" not in meant


def _text(value: Any) -> str:
    return str(value[0] if isinstance(value, list) and value else value or "")
