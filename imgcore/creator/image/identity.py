# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that file systems, partitions and disks carry, derived from the plan alone.

The same plan gives the same identifiers wherever and whenever it is built; another name, mount point or
SOURCE_DATE_EPOCH gives others. Nothing here reads a clock or a source of randomness.
"""

from __future__ import annotations

import uuid

from imgcore.creator.plan import Partition, Plan
from imgcore.errors import BuildError

__all__ = ["derive", "disk_guid", "disk_signature", "fat_serial", "filesystem", "partition"]

_SPACE = uuid.UUID("7f6c1b0e-52f4-5d0a-9c55-3b1f0a8d6e21")


def derive(plan: Plan, what: str) -> uuid.UUID:
    """An identifier for `what` (any text) of the plan's image."""
    return uuid.uuid5(_SPACE, f"{plan.name}\n{plan.arch}\n{plan.source_date_epoch}\n{what}")


def filesystem(plan: Plan, part: Partition) -> uuid.UUID:
    """The UUID of the file system (or swap area) in `part`: the one asked for, or a derived one."""
    if part.uuid:
        try:
            return uuid.UUID(part.uuid)
        except ValueError:
            raise BuildError(
                f"{plan.kickstart}, line {part.line}: part {part.mountpoint} --uuid={part.uuid} is not a UUID",
                "give 32 hexadecimal digits in the form 8-4-4-4-12",
                "unsupported",
            ) from None
    alike = [each for each in plan.partitions if (each.disk, each.mountpoint) == (part.disk, part.mountpoint)]
    which = alike.index(part) if part in alike else 0  # there can be several swap areas
    return derive(plan, f"file system {part.disk} {part.mountpoint} {which}")


def fat_serial(plan: Plan, part: Partition) -> str:
    """The eight hexadecimal digits of a FAT file system's serial number; `XXXX-XXXX` as a UUID."""
    return filesystem(plan, part).hex[:8].upper()


def partition(plan: Plan, disk: str, number: int) -> uuid.UUID:
    """The GUID of a partition in a GPT."""
    return derive(plan, f"partition {disk} {number}")


def disk_guid(plan: Plan, disk: str) -> uuid.UUID:
    """The GUID of a disk with a GPT."""
    return derive(plan, f"disk {disk}")


def disk_signature(plan: Plan, disk: str) -> int:
    """The 32-bit signature of a disk with an MBR; never 0, which systems replace at the first boot."""
    return int(disk_guid(plan, disk).hex[:8], 16) or 1
