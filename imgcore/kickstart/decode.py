# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes to text: UTF-8 with or without a byte order mark, otherwise Latin-1; bounded, and never binary junk."""

from __future__ import annotations

from imgcore.errors import InputError

__all__ = ["MOST_BYTES", "MOST_LINES", "decode"]

MOST_BYTES = 8 * 2**20
MOST_LINES = 200_000


def decode(content: bytes, name: str) -> str:
    """The text of a kickstart, line ends as they are. Raises InputError for what is no text."""
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{name}: {len(content) // 2**20} MiB is too large for a kickstart",
            f"the limit is {MOST_BYTES // 2**20} MiB; was an image given instead?",
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{name} is UTF-16 text", "save it as UTF-8")
    zero = content.find(b"\0")
    if zero >= 0:
        line = content.count(b"\n", 0, zero) + 1
        raise InputError(f"{name}, line {line}: a zero byte: this is binary data", "give the kickstart file itself")
    if content.count(b"\n") > MOST_LINES:
        raise InputError(f"{name} has more than {MOST_LINES} lines", "a kickstart is shorter")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
