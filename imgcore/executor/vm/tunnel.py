# SPDX-License-Identifier: GPL-2.0-or-later
"""Many connections over one channel, between the machine and the host.

    stream (4 bytes), kind (1), length (4), content
    O  a stream begins            D  a piece of it
    W  the other end has used so many bytes (4): as many more may come        C  nothing more comes

Only the machine begins streams. Each end sends at most WINDOW bytes of a stream that the other has not used yet, so
that one slow stream holds up no other. A leaf: standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable

__all__ = ["Stream", "Tunnel", "listen", "pump", "serve"]

WINDOW = 1 << 18
_MOST_STREAMS = 64
_PIECE = 1 << 16
_HEAD = struct.Struct(">IcI")
_WORD = struct.Struct(">I")
OPEN, DATA, USED, CLOSE = b"O", b"D", b"W", b"C"


class Broken(Exception):
    """The other end does not keep to the rules; the text says which."""


class Stream:
    """One connection through the tunnel."""

    def __init__(self, tunnel: Tunnel, number: int) -> None:
        self._tunnel, self._number = tunnel, number
        self._come: asyncio.Queue[bytes] = asyncio.Queue()
        self._unread = 0
        self._room = WINDOW
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._ended = self._closed = False

    async def read(self) -> bytes:
        """The next piece; nothing at the end."""
        if self._ended and self._come.empty():
            return b""
        piece = await self._come.get()
        if piece:
            self._unread -= len(piece)
            await self._tunnel.send(self._number, USED, _WORD.pack(len(piece)))
        return piece

    async def write(self, content: bytes) -> None:
        """Send it, as fast as the other end uses it. Raises ConnectionError when that wants no more."""
        view = memoryview(content)
        while view:
            await self._may_send.wait()
            if self._ended and self._room <= 0:
                raise ConnectionError("the stream has ended")
            piece = view[: min(_PIECE, self._room)]
            view = view[len(piece) :]
            self._room -= len(piece)
            if self._room <= 0:
                self._may_send.clear()
            await self._tunnel.send(self._number, DATA, bytes(piece))

    async def close(self) -> None:
        """Nothing more comes from here."""
        if not self._closed:
            self._closed = True
            await self._tunnel.send(self._number, CLOSE, b"")
            self._tunnel.forget(self._number, both=self._ended)

    def came(self, kind: bytes, content: bytes) -> None:
        """A frame of this stream arrived. Raises Broken."""
        if self._ended and kind != USED:
            raise Broken("more of a stream that has ended")
        if kind == DATA:
            self._unread += len(content)
            if self._unread > WINDOW:
                raise Broken("more than a stream may send")
            if content:
                self._come.put_nowait(content)
        elif kind == USED:
            self._room += _WORD.unpack(content)[0]
            if self._room > WINDOW:
                raise Broken("more was used than was sent")
            self._may_send.set()
        else:
            self._ended = True
            self._come.put_nowait(b"")
            self._may_send.set()
            self._tunnel.forget(self._number, both=self._closed)


class Tunnel:
    """One end of the channel; `opened` is given each stream that the other end begins."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        write: Callable[[bytes], Awaitable[None]],
        opened: Callable[[Stream], Awaitable[None]] | None = None,
    ) -> None:
        self._reader, self._write, self._opened = reader, write, opened
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self._sending = asyncio.Lock()

    async def open(self) -> Stream:
        """Begin a stream. Raises ConnectionError where there are too many."""
        if len(self._streams) >= _MOST_STREAMS:
            raise ConnectionError("too many connections at once")
        self._next += 1
        stream = self._streams[self._next] = Stream(self, self._next)
        await self.send(self._next, OPEN, b"")
        return stream

    async def run(self) -> None:
        """Serve until the channel ends. Raises Broken when the other end does not keep to the rules."""
        while True:
            try:
                number, kind, length = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
                if length > _PIECE or (kind == USED and length != _WORD.size):
                    raise Broken("a frame that is too long")
                content = await self._reader.readexactly(length)
            except asyncio.IncompleteReadError:
                return
            if kind == OPEN and self._opened is not None:
                if number in self._streams or len(self._streams) >= _MOST_STREAMS:
                    raise Broken("a stream that is there already, or too many")
                stream = self._streams[number] = Stream(self, number)
                task = asyncio.ensure_future(self._opened(stream))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif kind in (DATA, USED, CLOSE):
                # What comes for a stream that ended meanwhile is late, not wrong.
                if number in self._streams:
                    self._streams[number].came(kind, content)
            else:
                raise Broken("a frame of no known kind")

    async def send(self, number: int, kind: bytes, content: bytes) -> None:
        """One frame."""
        async with self._sending:
            await self._write(_HEAD.pack(number, kind, len(content)) + content)

    def forget(self, number: int, *, both: bool) -> None:
        """A side of the stream has ended."""
        if both:
            self._streams.pop(number, None)


async def pump(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry what comes between a stream and a connection, both ways, to the end of both."""

    async def out() -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE):
                await stream.write(piece)
        await stream.close()

    async def back() -> None:
        while piece := await stream.read():
            with contextlib.suppress(OSError):
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()

    await asyncio.gather(out(), back())
    writer.close()


def serve(device: str, port: int) -> None:
    """In the machine: whoever connects to `port` of its loopback comes out at the other end of the tunnel."""
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    asyncio.run(_serve(descriptor, port))


async def _serve(descriptor: int, port: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0, closefd=False)
    )
    out = os.dup(descriptor)

    async def write(content: bytes) -> None:
        await loop.run_in_executor(None, _write_all, out, content)

    await listen(Tunnel(reader, write), port)


async def listen(tunnel: Tunnel, port: int) -> None:
    """Carry each connection to `port` of the loopback through the tunnel, until that ends."""

    async def connected(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        try:
            stream = await tunnel.open()
        except ConnectionError:
            outgoing.close()
            return
        await pump(stream, incoming, outgoing)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    async with server:
        await tunnel.run()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # The reading side is not blocking, and the channel is one file with it.
            import select

            select.select([], [descriptor], [])
