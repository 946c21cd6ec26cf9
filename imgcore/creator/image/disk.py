# SPDX-License-Identifier: GPL-2.0-or-later
"""Partition tables: where each partition of a disk lies, and the MBR or GPT that says so.

`lay_out` decides, `write` puts the table into the image file. Partitions keep the order of the `part` lines. With
more than four on an MBR the first three are primary and the rest logical. The first mebibyte stays free, for the
tables and, on an MBR, for the boot loader. Units are sectors of 512 bytes. Formats: the UEFI specification's
chapter 5 for the GPT; for extended partitions, what the kernel's block/partitions/msdos.c reads.
"""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.image import filesystem, identity
from imgcore.creator.plan import Partition, Plan
from imgcore.errors import BuildError

__all__ = ["SECTOR", "Disk", "Slot", "lay_out", "part_uuid", "write"]

SECTOR = 512
_MIB = (1 << 20) // SECTOR
_GPT_ENTRIES = 128
#: Header and entries: 1 + 128 * 128 / 512.
_GPT_SECTORS = 33

_GUIDS = {
    "linux": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "fat": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
    "biosboot": "21686148-6449-6E6F-744E-656564454649",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
}
_BYTES = {"linux": 0x83, "esp": 0xEF, "fat": 0x0C, "biosboot": 0xDA, "swap": 0x82}
#: The four-digit codes by which sgdisk calls the same.
_CODES = {"8300": "linux", "EF00": "esp", "0700": "fat", "EF02": "biosboot", "8200": "swap"}


@dataclass(frozen=True)
class Slot:
    """One partition: its number as the kernel counts, where it lies, and what PARTUUID= it answers to."""

    part: Partition
    number: int
    start: int
    sectors: int
    part_uuid: str
    #: Where the record lies that makes it a logical partition; 0 for others.
    record: int = 0


@dataclass(frozen=True)
class Disk:
    """One disk: `sectors` is the size of the whole."""

    name: str
    table: str
    slots: tuple[Slot, ...]
    sectors: int


def lay_out(plan: Plan, name: str, parts: Sequence[Partition], sizes: Sequence[int]) -> Disk:
    """The disk `name` with `parts`, whose `sizes` are bytes. Raises BuildError for what its table cannot say."""
    table = plan.boot_loader.table
    gpt = table == "gpt"
    if gpt and len(parts) > _GPT_ENTRIES:
        raise _refused(plan, parts[_GPT_ENTRIES], f"a GPT has room for {_GPT_ENTRIES} partitions")
    cursor = _MIB
    slots: list[Slot] = []
    for index, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        number = _number(plan, index, len(parts))
        logical = number > index + 1
        align = max(1, part.align * 1024 // SECTOR)
        record = 0
        if logical:
            record = _up(cursor, min(align, _MIB))
            cursor = record + min(align, _MIB)
        start = _up(cursor, align)
        sectors = -(-size // SECTOR)
        slots.append(Slot(part, number, start, sectors, _part_uuid(plan, name, number), record))
        cursor = start + sectors
        if not gpt and cursor > 0xFFFFFFFF:
            raise _refused(plan, part, "an MBR cannot say where a partition beyond 2 TiB is", "--ptable=gpt")
    return Disk(name, table, tuple(slots), _up(cursor + (_GPT_SECTORS if gpt else 0), _MIB))


def part_uuid(plan: Plan, part: Partition) -> str:
    """The PARTUUID of one of the plan's partitions; it depends on no sizes."""
    siblings = [each for each in plan.partitions if each.disk == part.disk]
    return _part_uuid(plan, part.disk, _number(plan, siblings.index(part), len(siblings)))


def write(plan: Plan, disk: Disk, file: Path) -> None:
    """Write the table of `disk` into `file`, which has its size. The first 440 bytes are left alone."""
    with file.open("r+b") as target:
        for sector, content in (_gpt(plan, disk) if disk.table == "gpt" else _mbr(plan, disk)).items():
            skip = 440 if sector == 0 else 0
            target.seek(sector * SECTOR + skip)
            target.write(content[skip:])


def _mbr(plan: Plan, disk: Disk) -> dict[int, bytes]:
    primary = [slot for slot in disk.slots if not slot.record]
    logical = [slot for slot in disk.slots if slot.record]
    entries = [_entry(slot.part.active, _byte(plan, slot.part), slot.start, slot.sectors) for slot in primary]
    records: dict[int, bytes] = {}
    if logical:
        begin, end = logical[0].record, _end(logical[-1])
        entries.append(_entry(False, 0x0F, begin, end - begin))
        for slot, following in zip(logical, [*logical[1:], None], strict=True):
            kind = _byte(plan, slot.part)
            chain = [_entry(slot.part.active, kind, slot.start, slot.sectors, slot.record)]
            if following:
                chain.append(_entry(False, 0x05, following.record, _end(following) - following.record, begin))
            records[slot.record] = _boot_record(0, chain)
    return {0: _boot_record(identity.disk_signature(plan, disk.name), entries), **records}


def _gpt(plan: Plan, disk: Disk) -> dict[int, bytes]:
    table = b"".join(_gpt_entry(plan, slot) for slot in disk.slots).ljust(_GPT_ENTRIES * 128, b"\0")
    last = disk.sectors - 1
    guid = identity.disk_guid(plan, disk.name)

    def header(here: int, other: int, entries: int) -> bytes:
        def packed(crc: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII",
                *(b"EFI PART", 0x10000, 92, crc, 0, here, other, 1 + _GPT_SECTORS, last - _GPT_SECTORS),
                *(guid.bytes_le, entries, _GPT_ENTRIES, 128, zlib.crc32(table)),
            )

        return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")

    protective = _entry(False, 0xEE, 1, min(last, 0xFFFFFFFF))
    return {
        0: _boot_record(0, [protective]),
        1: header(1, last, 2) + table,
        last - _GPT_SECTORS + 1: table + header(last, 1, last - _GPT_SECTORS + 1),
    }


def _gpt_entry(plan: Plan, slot: Slot) -> bytes:
    # Bit 2: "legacy BIOS bootable".
    attributes = 4 if slot.part.active else 0
    name = (slot.part.label or slot.part.mountpoint).encode("utf-16-le")[:72]
    kind, own = _guid(plan, slot.part), uuid.UUID(slot.part_uuid)
    end = slot.start + slot.sectors - 1
    return struct.pack("<16s16sQQQ72s", kind.bytes_le, own.bytes_le, slot.start, end, attributes, name)


def _boot_record(signature: int, entries: Sequence[bytes]) -> bytes:
    table = b"".join(entries).ljust(64, b"\0")
    return bytes(440) + struct.pack("<IH", signature, 0) + table + b"\x55\xaa"


def _entry(active: bool, kind: int, start: int, sectors: int, base: int = 0) -> bytes:
    flag = 0x80 if active else 0
    chs = (_chs(start), _chs(start + sectors - 1))
    return struct.pack("<B3sB3sII", flag, chs[0], kind, chs[1], start - base, sectors)


def _chs(sector: int) -> bytes:
    """Cylinder, head and sector for the 255 heads and 63 sectors that every BIOS pretends."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    head, number = divmod(rest, 63)
    return bytes((head, (number + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF))


def _role(part: Partition) -> str:
    what = filesystem.kind(part)
    if what == "vfat":
        return "esp" if filesystem.is_esp(part) else "fat"
    return what if what in _BYTES else "linux"


def _byte(plan: Plan, part: Partition) -> int:
    asked = part.part_type.upper()
    if not asked:
        return _BYTES[_role(part)]
    if asked in _CODES:
        return _BYTES[_CODES[asked]]
    if re.fullmatch(r"(0X)?[0-9A-F]{1,2}", asked) and int(asked, 16):
        return int(asked, 16)
    raise _refused(plan, part, f"--part-type={part.part_type} is no type of an MBR's partition", "give it as 0x83")


def _guid(plan: Plan, part: Partition) -> uuid.UUID:
    asked = part.part_type.upper()
    if not asked:
        return uuid.UUID(_GUIDS[_role(part)])
    if asked in _CODES:
        return uuid.UUID(_GUIDS[_CODES[asked]])
    try:
        return uuid.UUID(asked)
    except ValueError:
        message = f"--part-type={part.part_type} is no type of a GPT's partition"
        raise _refused(plan, part, message, "give a GUID, in the form 8-4-4-4-12") from None


def _refused(plan: Plan, part: Partition, message: str, remedy: str = "") -> BuildError:
    return BuildError(f"{plan.kickstart}, line {part.line}: part {part.mountpoint}: {message}", remedy, "unsupported")


def _number(plan: Plan, index: int, count: int) -> int:
    # Where an MBR has logical partitions, the fourth number is the extended partition's.
    return index + 2 if plan.boot_loader.table != "gpt" and count > 4 and index >= 3 else index + 1


def _part_uuid(plan: Plan, disk: str, number: int) -> str:
    if plan.boot_loader.table == "gpt":
        return str(identity.partition(plan, disk, number))
    return f"{identity.disk_signature(plan, disk):08x}-{number:02x}"


def _end(slot: Slot) -> int:
    return slot.start + slot.sectors


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
