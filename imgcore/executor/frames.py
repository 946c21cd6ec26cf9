# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sandbox and its worker say to each other.

The worker sends the job's input files, once: a length, and that many bytes of JSON (name to base64). The
sandbox answers in frames: a kind, a length, and that many bytes.

    L  lines of the tool's output             S  bytes of scratch in use
    F  a delivered file begins (JSON)         D  a piece of it: offset (8 bytes), content
    E  how the tool ended (JSON)              X  the sandbox could not be made (JSON)

A leaf: standard library only, as the side that runs as root writes them.
"""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

__all__ = [
    "DATA",
    "END",
    "FILE",
    "LINES",
    "REFUSED",
    "SAMPLE",
    "Writer",
    "decode_data",
    "pack_inputs",
    "pack_json",
    "read",
    "receive_inputs",
    "receive_json",
]

LINES, SAMPLE, FILE, DATA, END, REFUSED = b"L", b"S", b"F", b"D", b"E", b"X"
PIECE_BYTES = 1 << 20
_HEAD = struct.Struct(">cI")
_OFFSET = struct.Struct(">Q")
#: A line of output longer than this is broken.
LINE_BYTES = 1 << 16
_LENGTH = struct.Struct(">I")
_INPUT_BYTES = 64 << 20


class Writer:
    """Writes frames to a descriptor. Raises BrokenPipeError once nobody reads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: bytes, *parts: bytes) -> None:
        """One frame; its content is the parts one after the other."""
        self._write(_HEAD.pack(kind, sum(map(len, parts))), *parts)

    def send_json(self, kind: bytes, content: object) -> None:
        """One frame of JSON."""
        self.send(kind, json.dumps(content).encode())

    def send_file(self, name: str, descriptor: int) -> None:
        """A whole file, without its holes."""
        status = os.fstat(descriptor)
        self.send_json(FILE, {"name": name, "size": status.st_size, "mode": status.st_mode & 0o777})
        at = 0
        while at < status.st_size:
            try:
                at = os.lseek(descriptor, at, os.SEEK_DATA)
                end = os.lseek(descriptor, at, os.SEEK_HOLE)
            except OSError:
                return  # nothing but a hole to the end
            while at < end:
                content = os.pread(descriptor, min(PIECE_BYTES, end - at), at)
                if not content:
                    return
                self.send(DATA, _OFFSET.pack(at), content)
                at += len(content)

    def _write(self, *parts: bytes) -> None:
        left = [memoryview(part) for part in parts if part]
        while left:
            written = os.writev(self.descriptor, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]


def read(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The frames of a stream to its end; a frame that is cut off is dropped. LINES are joined by newlines."""
    while True:
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        kind, length = _HEAD.unpack(head)
        content = stream.read(length)
        if len(content) < length:
            return
        yield kind, content


def decode_data(content: bytes) -> tuple[int, bytes]:
    """Offset and bytes of a DATA frame."""
    return _OFFSET.unpack_from(content)[0], content[_OFFSET.size :]


def pack_inputs(inputs: Mapping[str, bytes]) -> bytes:
    """What `receive_inputs` reads."""
    return pack_json({name: base64.b64encode(each).decode() for name, each in inputs.items()})


def pack_json(content: object) -> bytes:
    """What `receive_json` reads."""
    packed = json.dumps(content).encode()
    return _LENGTH.pack(len(packed)) + packed


def receive_json(descriptor: int) -> Any:
    """One packed value, and not one byte more from the descriptor. Raises ValueError."""
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    if length > _INPUT_BYTES:
        raise ValueError(f"{length} bytes of input are more than {_INPUT_BYTES}")
    return json.loads(_exactly(descriptor, length))


def receive_inputs(descriptor: int) -> dict[str, bytes]:
    """The input files, and not one byte more from the descriptor. Raises ValueError."""
    told = receive_json(descriptor)
    for name in told:
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise ValueError(f"{name!r} is not a file name")
    return {name: base64.b64decode(content, validate=True) for name, content in told.items()}


def _exactly(descriptor: int, count: int) -> bytes:
    pieces: list[bytes] = []
    while count:
        piece = os.read(descriptor, min(count, PIECE_BYTES))
        if not piece:
            raise ValueError("it ended early")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
