"""What a sandbox says, as frames on a pipe: a kind, a length, and that many bytes.

    L  a line of the tool's output           S  bytes of scratch in use
    F  a delivered file begins (JSON)         D  a piece of it: offset (8 bytes), content
    E  how the tool ended (JSON)              X  the sandbox could not be made (JSON)

A leaf: standard library only, as the side that runs as root writes them.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["DATA", "END", "FILE", "LINE", "REFUSED", "SAMPLE", "Writer", "decode_data", "read"]

LINE, SAMPLE, FILE, DATA, END, REFUSED = b"L", b"S", b"F", b"D", b"E", b"X"
PIECE_BYTES = 1 << 20
_HEAD = struct.Struct(">cI")
_OFFSET = struct.Struct(">Q")
#: A line of output longer than this is broken.
LINE_BYTES = 1 << 16


class Writer:
    """Writes frames to a descriptor. Raises BrokenPipeError once nobody reads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: bytes, content: bytes) -> None:
        """One frame."""
        self._write(_HEAD.pack(kind, len(content)) + content)

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
                self.send(DATA, _OFFSET.pack(at) + content)
                at += len(content)

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self.descriptor, view) :]


def read(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The frames of a stream to its end; a frame that is cut off is dropped."""
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
