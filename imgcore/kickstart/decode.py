# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes to text: UTF-8 with or without a byte order mark, otherwise Latin-1; bounded, and never binary junk.

Latin-1 has a character for every byte, so that text goes back to where it came from byte for byte, also where it
was neither.
"""

from __future__ import annotations

import codecs

from imgcore.errors import InputError

__all__ = ["MOST_BYTES", "MOST_LINES", "decode", "encode"]

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


def encode(text: str, like: bytes, name: str) -> bytes:
    """`text` in the encoding of the kickstart `like`. Raises InputError for what that has not got."""
    try:
        like.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            what = f"{name} is not UTF-8, and {text[error.start]!r} cannot be written into it"
            raise InputError(what, "save it as UTF-8 first") from None
    mark = codecs.BOM_UTF8 if like.startswith(codecs.BOM_UTF8) else b""
    return mark + text.encode("utf-8", "surrogateescape")
