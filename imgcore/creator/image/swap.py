# SPDX-License-Identifier: GPL-2.0-or-later
"""An empty swap area, as the kernel's `union swap_header` describes it."""

from __future__ import annotations

import struct
import uuid

__all__ = ["LABEL_BYTES", "header"]

LABEL_BYTES = 15
_PAGE = 4096


def header(size: int, label: str, identifier: uuid.UUID) -> bytes:
    """The first page of a swap area of `size` bytes (at least ten pages); all that follows is free."""
    page = bytearray(_PAGE)
    struct.pack_into("<III", page, 1024, 1, size // _PAGE - 1, 0)  # version, last page, bad pages
    page[1036:1052] = identifier.bytes
    page[1052:1068] = label.encode()[:LABEL_BYTES].ljust(16, b"\0")
    page[-10:] = b"SWAPSPACE2"
    return bytes(page)
