# SPDX-License-Identifier: GPL-2.0-or-later
"""What may come out of the machine: frames of a sandbox, checked here, for whoever rules inside can send anything.

A leaf: standard library only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from imgcore.executor import frames

__all__ = ["Breach", "checked"]

_HEAD = struct.Struct(">cI")
#: Bytes that a frame of each kind may have.
_LONGEST = {
    frames.LINES: 2 * frames.LINE_BYTES + (1 << 16),
    frames.SAMPLE: 20,
    frames.FILE: 1 << 16,
    frames.DATA: frames.PIECE_BYTES + 8,
    frames.END: 1 << 12,
    frames.REFUSED: 1 << 14,
}
_MOST_FILES = 100_000
_MOST_NAME = 4096
#: What a record and the programs that read it can hold.
_LARGEST = 2**63 - 1


class Breach(Exception):
    """The machine sent what no sandbox sends; the text says what."""


def checked(stream: BinaryIO, most_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """The frames of `stream` up to the last one; all files together have at most `most_bytes`. Raises Breach."""
    files, left, at = 0, most_bytes, 0
    size: Any = 0
    names: set[str] = set()
    for kind, content in _whole(stream):
        if kind == frames.SAMPLE and not (content.isdigit() and int(content) <= _LARGEST):
            raise Breach("a sample that is no number of bytes")
        if kind == frames.FILE:
            told = _object(content)
            name, size, mode = told.get("name"), told.get("size"), told.get("mode")
            if not isinstance(name, str) or not _plain(name) or name in names:
                raise Breach("a file whose name is not a relative one, or came before")
            if not _whole_number(size, 0, left) or not _whole_number(mode, 0, 0o777):
                raise Breach(f"more than the {most_bytes} bytes of files that a job may have")
            names.add(name)
            files, left, at = files + 1, left - size, 0
            if files > _MOST_FILES:
                raise Breach(f"more than {_MOST_FILES} files")
        elif kind == frames.DATA:
            if len(content) < 8:
                raise Breach("a piece of a file without its place")
            offset, piece = frames.decode_data(content)
            if not at <= offset <= size - len(piece):
                raise Breach("a piece of a file that is not in its place")
            at = offset + len(piece)
        elif kind == frames.END:
            told = _object(content)
            seconds: Any = told.get("cpu_seconds")
            if (
                not _whole_number(told.get("status"), -255, 255)
                or not _whole_number(told.get("peak_memory_bytes"), 0, _LARGEST)
                or not (type(seconds) in (int, float) and 0 <= seconds <= _LARGEST)
                or type(told.get("stopped")) is not bool
            ):
                raise Breach("an end without its numbers")
        elif kind == frames.REFUSED:
            told = _object(content)
            if any(not _text(told.get(each)) for each in ("message", "remedy")):
                raise Breach("a refusal without its reason")
        yield kind, content
        if kind in (frames.END, frames.REFUSED):
            return


def _whole(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while head := stream.read(_HEAD.size):
        if len(head) < _HEAD.size:
            return
        kind, length = _HEAD.unpack(head)
        if length > _LONGEST.get(kind, -1):
            raise Breach("something that is not a frame, or too long a one")
        content = stream.read(length)
        if len(content) < length:
            return
        yield kind, content


def _whole_number(told: object, least: int, most: int) -> bool:
    # True and False are numbers to Python.
    return type(told) is int and least <= told <= most


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Breach("a frame that is no JSON") from error
    if not isinstance(told, dict):
        raise Breach("a frame that is no JSON object")
    return told


def _text(told: object) -> bool:
    # JSON can have halves of characters, which no file can.
    return isinstance(told, str) and not any("\ud800" <= each <= "\udfff" for each in told)


def _plain(name: str) -> bool:
    return (
        0 < len(name) <= _MOST_NAME
        and "\0" not in name
        and name.isprintable()
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )
