# SPDX-License-Identifier: GPL-2.0-or-later
"""Partitions and the boot loader: what the disk of an image is to look like."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from imgcore.creator.plan import BootLoader, Partition
from imgcore.kickstart.check import Checker
from imgcore.kickstart.mistakes import Notes, Place, shown
from imgcore.kickstart.model import Command

__all__ = ["LOOP_SIZE", "boot_loader", "partitions"]

#: Size in MiB of a loop image whose kickstart has no part line: mic's.
LOOP_SIZE = 4096
#: Nobody has a disk of a PiB; a number beyond it is a typing mistake.
_LARGEST = 2**30
_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "btrfs", "vfat", "efi", "swap", "biosboot")
_ROOTS = ("ext2", "ext3", "ext4", "btrfs", "vfat")
_LABEL_LIMITS = {"vfat": 11, "efi": 11, "ext2": 16, "ext3": 16, "ext4": 16, "swap": 16}
_REFUSED = {"raid.": "raid", "pv.": "LVM", "btrfs.": "btrfs volumes"}


def partitions(commands: Sequence[Command], image_type: str, place: Place, notes: Notes) -> tuple[Partition, ...]:
    """The partitions of the `part` lines, checked against each other; `place` is where a missing one is missed."""
    checkers = [Checker(each, notes) for each in commands if each.name in ("part", "partition")]
    found = [(check, part) for check in checkers if (part := _partition(check)) is not None]
    _no_duplicates(found)
    parts = tuple(part for _, part in found)
    if len(found) < len(checkers) or image_type == "fs":
        return parts
    if image_type == "loop":
        return _of_loop(found)
    if not notes.mistakes and not any(part.mountpoint == "/" for part in parts):
        remedy = "add a line such as part / --size=2048 --fstype=ext4"
        notes.mistake(place, "a raw image needs a root partition", remedy, rule="no-root")
    return parts


def _of_loop(found: Sequence[tuple[Checker, Partition]]) -> tuple[Partition, ...]:
    if not found:
        return (Partition("/", LOOP_SIZE),)
    for check, _ in found[1:]:
        check.mistake("a loop image has one partition", "build type raw, or leave one part line")
    check, part = found[0]
    if part.mountpoint != "/":
        check.mistake(f"the partition of a loop image is / and not {part.mountpoint or 'raw'}")
    elif part.fstype not in _ROOTS:
        check.refuse(f"a loop image of {part.fstype} is not something that the built-in creator makes")
    return (part,)


def _partition(check: Checker) -> Partition | None:
    mountpoint = str(check.value("mountpoint") or (check.value("mntpoint") or [""])[0])
    for beginning, what in _REFUSED.items():
        if mountpoint.startswith(beginning):
            check.refuse(f"{shown(mountpoint)}: {what} is not something that the built-in creator makes")
            return None
    before = len(check.notes.mistakes)
    if mountpoint.startswith("/"):
        mountpoint = _mountpoint(check, mountpoint)
    elif mountpoint not in ("swap", "biosboot"):
        check.mistake(f"{shown(mountpoint)} is not a mount point", "give a path such as /, swap or biosboot")
    fstype = _file_system(check, mountpoint)
    part = Partition(
        mountpoint=mountpoint,
        size=_size(check, mountpoint),
        fstype=fstype,
        disk=check.text("disk", str(check.value("disk") or "sda").removeprefix("/dev/")) or "sda",
        label=check.text("label", check.value("label")),
        options=check.text("mount options", check.value("fsopts")) or "defaults",
        active=bool(check.value("active")),
        align=check.number("--align", check.value("align"), 1, 2**21) or Partition("/", 0).align,
        part_type=check.text("partition type", check.value("part_type")),
        uuid=check.text("UUID", check.value("uuid")),
        line=check.line,
    )
    limit = _LABEL_LIMITS.get(fstype, 255)
    if len(part.label) > limit:
        check.mistake(f"the label {part.label} is longer than the {limit} characters that {fstype} has for it")
    return part if len(check.notes.mistakes) == before else None


def _mountpoint(check: Checker, mountpoint: str) -> str:
    path = check.text("path", mountpoint)
    if any(each.isspace() or each in "\\\"'" for each in path):
        check.mistake(f"{shown(mountpoint)} has characters that a mount point cannot have")
    normal = posixpath.normpath(path) if path else ""
    return f"/{normal.lstrip('/')}"


def _file_system(check: Checker, mountpoint: str) -> str:
    given = str(check.value("fstype") or "").lower()
    implied = {"swap": "swap", "biosboot": "biosboot", "/boot/efi": "efi"}.get(mountpoint, "")
    fstype = given or implied or "ext4"
    if fstype not in _FILE_SYSTEMS:
        remedy = f"use one of {', '.join(_FILE_SYSTEMS[:5])}"
        check.refuse(f"{shown(fstype)} is not a file system that the built-in creator makes", remedy)
    elif implied in ("swap", "biosboot") and fstype != implied:
        check.mistake(f"{mountpoint} cannot be {fstype}", f"leave --fstype={fstype} out")
    elif fstype in ("swap", "biosboot") and fstype != mountpoint:
        check.mistake(f"{shown(mountpoint)} cannot be {fstype}", f"write part {fstype}")
    elif mountpoint == "/" and fstype not in _ROOTS:
        check.mistake(f"/ cannot be {fstype}", "use --fstype=ext4")
    return fstype


def _size(check: Checker, mountpoint: str) -> int:
    size = check.value("size")
    if size in (None, ""):
        if mountpoint == "biosboot":
            return 1
        check.mistake(f"{mountpoint} has no size", "add --size=MIB")
        return 0
    return check.number("--size", size, 1, _LARGEST)


def _no_duplicates(found: Sequence[tuple[Checker, Partition]]) -> None:
    mounted: dict[str, int] = {}
    names: dict[tuple[str, str], int] = {}
    for check, part in found:
        if part.mountpoint != "swap":
            if part.mountpoint in mounted:
                line = mounted[part.mountpoint]
                what = f"{part.mountpoint} is there already, in line {line}"
                check.mistake(what, "remove one of the lines", rule="duplicate")
            mounted.setdefault(part.mountpoint, part.line)
        for kind, value in (("label", part.label), ("UUID", part.uuid.lower())):
            if value and (kind, value) in names:
                line = names[kind, value]
                what = f"the {kind} {value} is there already, in line {line}"
                check.mistake(what, "give each its own", rule="duplicate")
            names.setdefault((kind, value), part.line)


def boot_loader(commands: Sequence[Command], parts: Sequence[Partition], image_type: str, notes: Notes) -> BootLoader:
    """The boot loader; without a `bootloader` line, the default one."""
    lines = [Checker(each, notes) for each in commands if each.name == "bootloader"]
    labels = [
        str(each.values.get("disklabel"))
        for each in commands
        if each.name == "clearpart" and each.values.get("disklabel")
    ]
    check = lines[-1] if lines else None
    table = str(check.value("ptable") or "") if check else ""
    table = table or ({"gpt": "gpt", "msdos": "msdos", "mbr": "msdos"}.get(labels[-1], "") if labels else "")
    table = table or ("gpt" if any(part.mountpoint == "biosboot" for part in parts) else "msdos")
    if check is None:
        return BootLoader(table=table)
    append = str(check.value("appendLine") or "")
    if not append.isprintable() or len(append) > 2048:
        check.mistake("--append has characters that a kernel command line cannot have")
    return BootLoader(
        location=_location(check, image_type),
        append=append,
        timeout=check.number("--timeout", check.value("timeout"), 0, 3600),
        table=table,
        menus=_menus(check),
        default=check.text("session", check.value("default")),
        line=check.line,
    )


def _location(check: Checker, image_type: str) -> str:
    if check.value("disabled") or check.value("nombr"):
        return "none"
    location = str(check.value("location") or "mbr").lower()
    if location in ("partition", "boot"):
        if image_type != "raw":
            return "none"
        what = f"--location={location} is not something that the built-in creator does"
        check.refuse(what, "use mbr or none")
    elif location not in ("mbr", "none"):
        check.mistake(f"--location={shown(location)} is not known", "use mbr or none")
    return location


def _menus(check: Checker) -> tuple[tuple[str, str, str], ...]:
    """mic's `SHORT:LONG:EXTRA;…`: a menu entry for each, EXTRA going to the kernel's options."""
    found = []
    for menu in str(check.value("menus") or "").split(";"):
        short, _, rest = menu.strip().partition(":")
        long, _, extra = rest.partition(":")
        if not short:
            continue
        if not (short + rest).isprintable() or any(each in short + rest for each in "'\"\\{}$`"):
            check.mistake(f"the menu entry {shown(menu)} has characters that a menu cannot have")
            continue
        found.append((long or short, short, extra))
    return tuple(found)
