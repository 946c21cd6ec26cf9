# SPDX-License-Identifier: GPL-2.0-or-later
"""What is worth a second look in a kickstart that can be read: secrets in plain text, things said twice, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from imgcore.credentials import has_password
from imgcore.kickstart.mistakes import Grade, Notes, shown
from imgcore.kickstart.model import Command, Kickstart
from imgcore.kickstart.versions import Dialect

__all__ = ["lint"]

#: Options that give a secret as it is, by the attribute they set.
_SECRETS = {
    "passphrase": "--passphrase",
    "hw_passphrase": "--hw-passphrase",
    "proxy_password": "--proxypasswd",
    "wepkey": "--wepkey",
    "wpakey": "--wpakey",
    "activation_keys": "--activation-key",
}
_CRYPTED = "give a crypted one with --iscrypted"
#: MiB that a partition table of msdos can speak of.
_MSDOS_LIMIT = 2 * 2**20
_TINY = {"/": 32, "/boot": 16, "/boot/efi": 8}


def lint(kickstart: Kickstart, dialect: Dialect, notes: Notes) -> None:
    """Note it all."""
    for command in kickstart.commands:
        for word, what, remedy in _secrets(command):
            notes.warning(command.place, f"{command.name}: {what}", remedy, word=word, rule="secret")
        if dialect.deprecates(command.name):
            what = f"{command.name} is deprecated in {dialect.name}"
            notes.warning(command.place, what, word=command.name, rule="deprecated")
    _sizes(kickstart, notes)
    _twice(kickstart, notes)
    if not kickstart.packages and not kickstart.all_sections:
        return
    installing = {"repo", "url", "liveimg", "ostreesetup", "ostreecontainer", "bootc", "cdrom", "nfs", "harddrive"}
    if not any(each.name in installing for each in kickstart.commands):
        place = kickstart.all_sections[0].place
        notes.warning(place, "there is no repository to install from", "add a repo line", rule="no-repo")


def _secrets(command: Command) -> Iterator[tuple[str, str, str]]:
    values = command.values
    if command.name in ("rootpw", "user", "sshpw") and values.get("password") and not values.get("isCrypted"):
        if not values.get("lock"):
            yield command.name, "the password is plain text", _CRYPTED
    elif command.name == "bootloader" and values.get("password") and not values.get("isCrypted"):
        yield "--password", "the password is plain text", _CRYPTED
    for attribute, option in _SECRETS.items():
        if values.get(attribute) and attribute in command.given:
            yield option, f"{option} is a secret in plain text", "give it by a token"
    if any(map(has_password, command.words)):
        yield "://", "a URL with a password", "give it by a token"


def _sizes(kickstart: Kickstart, notes: Notes) -> None:
    total = 0
    gpt = any("gpt" in each.words[1:] or "--ptable=gpt" in each.words for each in kickstart.commands)
    parts = [each for each in kickstart.commands if each.name in ("part", "partition")]
    for part in parts:
        size, most = part.values.get("size"), part.values.get("maxSizeMB")
        where = str(part.values.get("mountpoint") or "")
        if not isinstance(size, int):
            continue
        total += size
        if isinstance(most, int) and 0 < most < size:
            what = f"part: --size={size} does not fit into --maxsize={most}"
            notes.mistake(part.place, what, word="--maxsize", rule="size")
        elif 0 < size < _TINY.get(where, 0) and not part.values.get("grow"):
            what = f"part: {size} MiB will hardly be enough for {where}"
            notes.warning(part.place, what, "the size is in MiB", word="--size", rule="size")
    if total > _MSDOS_LIMIT and not gpt and parts:
        what = f"part: {total} MiB together are more than a partition table of msdos can have"
        notes.warning(parts[-1].place, what, "add clearpart --disklabel=gpt", rule="size")


def _twice(kickstart: Kickstart, notes: Notes) -> None:
    listed: dict[tuple[str, str, bool], int] = {}
    for section in kickstart.packages:
        for entry in section.entries:
            key = (entry.kind, entry.name, entry.excluded)
            if key in listed:
                what = f"{shown(entry.name)} is there already, in line {listed[key]}"
                notes.warning(entry.place, what, word=entry.name, rule="duplicate", grade=Grade.NOTE)
            listed.setdefault(key, entry.place.line)
