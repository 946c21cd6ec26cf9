# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel as it is after it has unpacked itself: done once here, instead of slowly at each start of a machine.

The packed one (bzImage) holds it as an ELF file, which QEMU starts itself where that has an entry for it (PVH).
References: Documentation/arch/x86/boot.rst of the kernel (setup_sects, payload_offset, payload_length), elf(5),
Xen's public/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY). Standard library only, and `zstd` for kernels that are packed so.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

__all__ = ["unpacked"]

_PVH_ENTRY = 18
_NOTES = 4
#: A kernel has some sixty; more is not one.
_MOST_BYTES = 1 << 28
_PIECE = 1 << 16


def unpacked(image: Path, place: Path) -> Path:
    """The kernel `image` without its packing, kept in the directory `place`; `image` itself where that cannot be."""
    status = image.stat()
    kept = place / f"{image.name}-{status.st_size}-{status.st_mtime_ns}"
    if kept.exists():
        return kept
    try:
        content = _payload(image.read_bytes())
        if not _starts_directly(content):
            return image
        place.mkdir(mode=0o755, exist_ok=True)
        for older in place.glob(f"{image.name}-*"):
            older.unlink(missing_ok=True)
        _write(content, kept)
    except (OSError, ValueError, struct.error, lzma.LZMAError, zlib.error):
        return image
    return kept


def _payload(image: bytes) -> bytes:
    """What a bzImage unpacks. Raises ValueError and the packers' errors."""
    if image[0x202:0x206] != b"HdrS":
        raise ValueError("no bzImage")
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    packed = image[start : start + length]
    if packed.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed, _MOST_BYTES)
    if packed.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(packed, _MOST_BYTES)
    if packed.startswith(b"\x28\xb5\x2f\xfd"):
        # The size of what comes out follows it, as with all packers but gzip (scripts/Makefile.lib, size_append).
        done = subprocess.run(["zstd", "-dc"], input=packed[:-4], capture_output=True, check=False)
        return done.stdout
    raise ValueError("packed in another way")


def _starts_directly(content: bytes) -> bool:
    """Whether that is an ELF file with a PVH entry. Raises struct.error."""
    if content[:6] != b"\x7fELF\x02\x01":
        return False
    (headers,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for number in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", content, headers + number * size)
        end = offset + length
        while kind == _NOTES and offset < end:
            name, described, note = struct.unpack_from("<III", content, offset)
            if note == _PVH_ENTRY and content[offset + 12 : offset + 16] == b"Xen\0":
                return True
            offset += 12 + (name + 3 & ~3) + (described + 3 & ~3)
    return False


def _write(content: bytes, path: Path) -> None:
    """Whole or not at all, and without the zeros, which are a third of it."""
    descriptor, partial = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(len(content))
            for at in range(0, len(content), _PIECE):
                piece = content[at : at + _PIECE]
                if piece.strip(b"\0"):
                    file.seek(at)
                    file.write(piece)
            os.fchmod(file.fileno(), 0o644)
        Path(partial).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(partial).unlink()
