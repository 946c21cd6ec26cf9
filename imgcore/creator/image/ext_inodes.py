# SPDX-License-Identifier: GPL-2.0-or-later
"""Set the time stamps of every inode in an ext2/3/4 image, and say which blocks are in use.

Needed because a file system made from a directory carries the directory's ctimes, which nobody can choose.
The layout is that of the kernel's Documentation/filesystems/ext4 (super, group_descr, ifork, checksums).
A checksum over an inode is corrected, not computed anew: CRC-32C is linear, so what changes in it depends
only on which bits of the inode change, whatever the file system's seed is.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["settle"]

_METADATA_CSUM = 0x400
_64BIT = 0x80
_INODE_UNINIT = 1
_BLOCK_UNINIT = 2
_ROOT = 2


@dataclass(frozen=True)
class _Group:
    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    flags: int


class _Image:
    """An ext2/3/4 file system inside a file."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        super_block = self.read(1024, 1024)
        word = functools.partial(_word, super_block)
        self.block = 1024 << word(0x18)
        self.first_block = word(0x14)
        self.blocks_per_group = word(0x20)
        self.inodes_per_group = word(0x28)
        self.inode_size = word(0x58, "<H")
        wide = bool(word(0x60) & _64BIT)
        self.blocks = word(0x4) | (word(0x150) << 32 if wide else 0)
        self.checksums = bool(word(0x64) & _METADATA_CSUM)
        self._descriptor_size = word(0xFE, "<H") if wide else 32

    def read(self, at: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, self._offset + at)

    def write(self, at: int, content: bytes | bytearray) -> None:
        os.pwrite(self._descriptor, content, self._offset + at)

    def groups(self) -> Iterator[_Group]:
        count = -(-(self.blocks - self.first_block) // self.blocks_per_group)
        size = self._descriptor_size
        table = self.read((self.first_block + 1) * self.block, count * size)
        for at in range(0, count * size, size):
            low = struct.unpack_from("<III", table, at)
            high = struct.unpack_from("<III", table, at + 0x20) if size >= 64 else (0, 0, 0)
            places = [a | b << 32 for a, b in zip(low, high, strict=True)]
            yield _Group(places[0], places[1], places[2], _word(table, at + 0x12, "<H"))


def settle(file: Path, offset: int, epoch: int, root: os.stat_result) -> list[tuple[int, int]]:
    """Set the times in the file system at `offset` of `file`; return the byte ranges (from `offset`) in use.

    ctime and crtime become `epoch`, mtime at most `epoch`, atime the mtime, all in whole seconds. The root
    directory gets mode and owner of `root`, which mke2fs does not copy.
    """
    descriptor = os.open(file, os.O_RDWR)
    try:
        image = _Image(descriptor, offset)
        groups = list(image.groups())
        for number, group in enumerate(groups):
            if not group.flags & _INODE_UNINIT:
                _settle_group(image, number, group, epoch, root)
        return list(_in_use(image, groups))
    finally:
        os.close(descriptor)


def _settle_group(image: _Image, number: int, group: _Group, epoch: int, root: os.stat_result) -> None:
    bitmap = image.read(group.inode_bitmap * image.block, image.inodes_per_group // 8)
    used = [byte * 8 + bit for byte, value in enumerate(bitmap) if value for bit in range(8) if value >> bit & 1]
    if not used:
        return
    size = image.inode_size
    start = group.inode_table * image.block
    table = bytearray(image.read(start, (used[-1] + 1) * size))
    for index in used:
        at = index * size
        before = bytes(table[at : at + size])
        if before.count(0) == size:
            continue  # a reserved inode that nothing uses
        mtime = min(_word(before, 0x10, "<i"), epoch)
        struct.pack_into("<iii", table, at + 0x08, mtime, epoch, mtime)  # atime, ctime, mtime
        extra = _word(before, 0x80, "<H") if size > 128 else 0
        if extra >= 0x1C:
            # The three nanosecond fields, then crtime and its own.
            struct.pack_into("<IIIiI", table, at + 0x84, 0, 0, 0, epoch, 0)
        if number == 0 and index + 1 == _ROOT:
            _set_owner(table, at, root)
        if image.checksums:
            _correct(table, at, before, extra)
    image.write(start, table)


def _set_owner(table: bytearray, at: int, root: os.stat_result) -> None:
    struct.pack_into("<H", table, at, 0o040000 | root.st_mode & 0o7777)
    for place, high, value in ((0x02, 0x78, root.st_uid), (0x18, 0x7A, root.st_gid)):
        struct.pack_into("<H", table, at + place, value & 0xFFFF)
        struct.pack_into("<H", table, at + high, value >> 16)


def _correct(table: bytearray, at: int, before: bytes, extra: int) -> None:
    """Bring the inode's checksum (16 bits at 0x7C, the upper 16 at 0x82) after its change up to date."""
    size = len(before)
    after = table[at : at + size]
    difference = 0
    changed = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
    for position, value in enumerate(changed.to_bytes(size, "big")):
        if value:
            difference ^= _effect(size, position, value)
    low = _word(after, 0x7C, "<H") ^ (difference & 0xFFFF)
    struct.pack_into("<H", table, at + 0x7C, low)
    if extra >= 4:
        struct.pack_into("<H", table, at + 0x82, _word(after, 0x82, "<H") ^ (difference >> 16))


@functools.cache
def _effect(size: int, position: int, value: int) -> int:
    """What flipping the bits `value` of the byte at `position` of `size` bytes does to their CRC-32C."""
    effect = 0
    for bit in range(8):
        if value >> bit & 1:
            effect ^= _bits_followed_by(size - 1 - position)[bit]
    return effect


@functools.cache
def _bits_followed_by(count: int) -> tuple[int, ...]:
    """The CRC-32C, begun with 0, of each single bit of a byte with `count` zero bytes behind it."""
    if count == 0:
        return tuple(_byte(1 << bit) for bit in range(8))
    return tuple(_byte(crc & 0xFF) ^ crc >> 8 for crc in _bits_followed_by(count - 1))


@functools.cache
def _byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def _in_use(image: _Image, groups: list[_Group]) -> Iterator[tuple[int, int]]:
    """Ranges of the blocks that the bitmaps call used: of these also a zero counts.

    A group whose bitmap was never written holds nothing but copies of the super block and descriptors,
    which are not zero.
    """
    begun: int | None = None
    for number, group in enumerate(groups):
        first = image.first_block + number * image.blocks_per_group
        count = min(image.blocks_per_group, image.blocks - first)
        written = not group.flags & _BLOCK_UNINIT
        bitmap = image.read(group.block_bitmap * image.block, -(-count // 8)) if written else bytes(-(-count // 8))
        for index in range(0, count, 8):
            value = bitmap[index >> 3]
            if value == (0xFF if begun is not None else 0):
                continue
            for bit in range(min(8, count - index)):
                here = (first + index + bit) * image.block
                if value >> bit & 1:
                    begun = here if begun is None else begun
                elif begun is not None:
                    yield begun, here
                    begun = None
    if begun is not None:
        yield begun, image.blocks * image.block


def _word(content: bytes | bytearray, at: int, form: str = "<I") -> int:
    return int(struct.unpack_from(form, content, at)[0])
