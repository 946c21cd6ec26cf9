# SPDX-License-Identifier: GPL-2.0-or-later
"""What one `part` line becomes: a file system filled with its share of the tree, swap, or nothing.

`kind` decides what it is, `check` refuses by the kickstart's line what cannot be made, `make` makes it at its
place in an image file. Nothing is mounted, and nothing needs a privilege. `make` also tells which bytes
are in use although they may be zero, for the block map.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.image import btrfs, ext, fat, holes, identity, swap
from imgcore.creator.image.content import Amount
from imgcore.creator.plan import Partition, Plan
from imgcore.errors import BuildError
from imgcore.run import CommandFailed

__all__ = ["Place", "automatic_size", "check", "is_esp", "kind", "make", "uuid_text"]

_EXT = ("ext2", "ext3", "ext4")
_ALIASES = {"efi": "vfat", "fat": "vfat", "msdos": "vfat", "fat16": "vfat", "fat32": "vfat"}
_LABELS = {"vfat": fat.LABEL_BYTES, "btrfs": btrfs.LABEL_BYTES, "swap": swap.LABEL_BYTES} | dict.fromkeys(
    _EXT, ext.LABEL_BYTES
)
#: What mke2fs, mcopy and mkfs.btrfs say when something does not fit.
_FULL = ("could not allocate", "disk full", "too small", "not enough", "lower inode count")
_MIB = 1 << 20


@dataclass(frozen=True)
class Place:
    """Where a file system goes: `size` bytes at `offset` of `file`."""

    file: Path
    offset: int
    size: int


def kind(part: Partition) -> str:
    """`ext2`, `ext3`, `ext4`, `btrfs`, `vfat`, `swap`, `biosboot`, `raw` (left empty), or what is not known."""
    for special in ("swap", "biosboot"):
        if special in (part.mountpoint, part.fstype):
            return special
    if not part.mountpoint.startswith("/"):
        return "raw"
    return _ALIASES.get(part.fstype, part.fstype)


def is_esp(part: Partition) -> bool:
    """Whether firmware is to look for boot loaders in it."""
    return kind(part) == "vfat" and (part.fstype == "efi" or part.mountpoint in ("/boot/efi", "/efi"))


def check(plan: Plan, part: Partition) -> None:
    """Raise BuildError for what can be known to fail before anything is built."""
    what = kind(part)
    if what not in (*_LABELS, "biosboot", "raw"):
        raise _refused(plan, part, f"the file system type {part.fstype} is not known here", "use ext4, btrfs or vfat")
    if part.label and what in _LABELS and len(part.label.encode()) > _LABELS[what]:
        message = f"the label {part.label} is longer than the {_LABELS[what]} bytes that {what} has for it"
        raise _refused(plan, part, message, "choose a shorter one")
    identity.filesystem(plan, part)


def uuid_text(plan: Plan, part: Partition) -> str:
    """The file system's UUID as fstab, the kernel and GRUB write it; empty where there is none."""
    what = kind(part)
    if what in ("biosboot", "raw"):
        return ""
    if what == "vfat":
        serial = identity.fat_serial(plan, part)
        return f"{serial[:4]}-{serial[4:]}"
    return str(identity.filesystem(plan, part))


def automatic_size(part: Partition, amount: Amount) -> int:
    """Bytes for a file system that no line gives a size: the content, and a fifth more (at least 16 MiB)."""
    least = _needed(kind(part), amount)
    return least + -(-max(least // 5, 16 * _MIB) // _MIB) * _MIB


def make(
    plan: Plan, part: Partition, place: Place, content: Path | None, amount: Amount, scratch: Path
) -> list[tuple[int, int]]:
    """Make what `part` wants at `place`; return the ranges (bytes from its offset) in use.

    `content` is the share of the tree, which `amount` measures. `scratch` is an empty directory of this
    call's own.
    """
    what = kind(part)
    epoch = plan.source_date_epoch
    if what in (*_EXT, "btrfs", "vfat"):
        if content is None:
            raise AssertionError("a file system has content")
        if amount.size > place.size:
            raise _too_small(plan, part, place.size, _needed(what, amount))
    label = part.label
    identifier = identity.filesystem(plan, part)
    try:
        if what in _EXT and content is not None:
            return ext.make(
                place.file, place.offset, place.size, what, content, amount, label, identifier, epoch, scratch
            )
        if what == "btrfs" and content is not None:
            _make_btrfs(place, content, label, plan, part, scratch)
        elif what == "vfat":
            serial = identity.fat_serial(plan, part)
            fat.make(place.file, place.offset, place.size, content, label, serial, is_esp(part), epoch)
        elif what == "swap":
            _write(place, swap.header(place.size, label, identifier))
    except CommandFailed as failure:
        told = _explained(failure, plan, part, place.size, _needed(what, amount))
        if told is None:
            raise
        raise told from failure
    return [
        (start - place.offset, end - place.offset) for start, end in holes.data(place.file, place.offset, place.size)
    ]


def _make_btrfs(place: Place, content: Path, label: str, plan: Plan, part: Partition, scratch: Path) -> None:
    # mkfs.btrfs knows no offset: make it aside, and move what is not zero.
    aside = scratch / "btrfs.img"
    aside.touch()
    os.truncate(aside, place.size)
    btrfs.make(aside, place.size, content, label, identity.filesystem(plan, part), plan.source_date_epoch)
    holes.copy(aside, place.file, place.offset)
    aside.unlink()


def _write(place: Place, content: bytes) -> None:
    with place.file.open("r+b") as file:
        file.seek(place.offset)
        file.write(content)


def _needed(what: str, amount: Amount) -> int:
    if what == "vfat":
        return fat.needed(amount)
    if what == "btrfs":
        return btrfs.needed(amount)
    return ext.needed(amount, what)


def _explained(failure: CommandFailed, plan: Plan, part: Partition, size: int, needed: int) -> BuildError | None:
    said = "\n".join(failure.tail).lower()
    if "no space left on device" in said:
        return BuildError(
            f"the disk is full where the file system of {part.mountpoint} is made: {failure.tail[-1].strip()}",
            "free space there, or raise the job's disk limit",
            "disk-full",
        )
    if any(sign in said for sign in _FULL):
        # What did not fit needs more than there is, whatever the estimate says.
        return _too_small(plan, part, size, max(needed, size + size // 10))
    return None


def _too_small(plan: Plan, part: Partition, size: int, needed: int) -> BuildError:
    return BuildError(
        f"{_where(plan, part)}: part {part.mountpoint} has {size // _MIB} MiB, its content needs "
        f"about {-(-needed // _MIB)} MiB",
        f"give it --size={-(-needed * 5 // 4 // _MIB)} or more",
        "image-too-small",
    )


def _refused(plan: Plan, part: Partition, message: str, remedy: str) -> BuildError:
    return BuildError(f"{_where(plan, part)}: part {part.mountpoint}: {message}", remedy, "unsupported")


def _where(plan: Plan, part: Partition) -> str:
    return f"{plan.kickstart}, line {part.line}" if part.line else plan.kickstart
