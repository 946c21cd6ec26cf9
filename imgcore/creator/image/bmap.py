# SPDX-License-Identifier: GPL-2.0-or-later
"""The block map of an image, in bmaptool's format 2.0: what to write to a device, and its digests.

A block counts if the file has something else than zeros in it, or if a file system calls it used: a device
that was in use before may hold anything where the image has zeros. What the builder's own file system
stores as a hole does not matter, so the map is the same wherever it is made.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from imgcore.creator.image import holes

__all__ = ["BLOCK", "render"]

BLOCK = 4096
_ZERO_BLOCK = bytes(BLOCK)
_NO_DIGEST = "0" * 64


def render(image: Path, in_use: Iterable[tuple[int, int]]) -> str:
    """The map of `image`; `in_use` are the byte ranges that count although they may be zero."""
    size = image.stat().st_size
    count = -(-size // BLOCK)
    mapped = bytearray(count)
    for start, end in in_use:
        first, last = start // BLOCK, min(-(-end // BLOCK), count)
        mapped[first:last] = b"\1" * (last - first)
    _mark_content(image, mapped)
    lines = []
    with image.open("rb", buffering=0) as file:
        for first, last in _ranges(mapped):
            digest = _digest(file.fileno(), first * BLOCK, min((last + 1) * BLOCK, size))
            text = str(first) if first == last else f"{first}-{last}"
            lines.append(f'        <Range chksum="{digest}"> {text} </Range>\n')
    parts = (
        '<?xml version="1.0" ?>\n',
        f"<!-- Block map of {escape(image.name.replace('--', '- -'))}: write it with bmaptool copy. -->\n",
        '<bmap version="2.0">\n',
        f"    <ImageSize> {size} </ImageSize>\n",
        f"    <BlockSize> {BLOCK} </BlockSize>\n",
        f"    <BlocksCount> {count} </BlocksCount>\n",
        f"    <MappedBlocksCount> {sum(mapped)} </MappedBlocksCount>\n",
        "    <ChecksumType> sha256 </ChecksumType>\n",
        f"    <BmapFileChecksum> {_NO_DIGEST} </BmapFileChecksum>\n",
        "    <BlockMap>\n",
        *lines,
        "    </BlockMap>\n</bmap>\n",
    )
    # The map's own digest is taken with zeros in its place.
    text = "".join(parts)
    return text.replace(_NO_DIGEST, hashlib.sha256(text.encode()).hexdigest(), 1)


def _mark_content(image: Path, mapped: bytearray) -> None:
    with image.open("rb", buffering=0) as file:
        for start, end in holes.data(image):
            for at in range(start // BLOCK * BLOCK, end, holes.CHUNK):
                file.seek(at)
                piece = file.read(min(holes.CHUNK, end - at))
                first = at // BLOCK
                last = -(-(at + len(piece)) // BLOCK)
                if 0 not in mapped[first:last]:
                    continue
                for number in range(first, last):
                    if not mapped[number]:
                        inside = (number - first) * BLOCK
                        block = piece[inside : inside + BLOCK]
                        mapped[number] = block != _ZERO_BLOCK[: len(block)]


def _ranges(mapped: bytearray) -> Iterator[tuple[int, int]]:
    first = mapped.find(1)
    while first >= 0:
        end = mapped.find(0, first)
        yield first, (end if end >= 0 else len(mapped)) - 1
        first = mapped.find(1, end) if end >= 0 else -1


def _digest(descriptor: int, start: int, end: int) -> str:
    digest = hashlib.sha256()
    for at in range(start, end, holes.CHUNK):
        digest.update(os.pread(descriptor, min(holes.CHUNK, end - at), at))
    return digest.hexdigest()
