# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the tunnel: an HTTP proxy that leads to the job's repositories and nowhere else.

Plain requests must be for something below a repository's URL. For https only host and port can be told, as the rest
is not for our eyes. Reference: RFC 9110 (CONNECT, request targets). It runs in a process of its own, as a user
without rights where root started it. A leaf: standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import signal
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from imgcore.executor import identity, kernel
from imgcore.executor.vm.tunnel import Broken, Stream, Tunnel, pump

__all__ = ["Rules", "start"]

_HEAD_BYTES = 1 << 15
_CONNECT_SECONDS = 30.0
_PORTS = {"http": 80, "https": 443, "ftp": 21}


class Rules:
    """What may be reached, by the URLs of the repositories."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._known = [urlsplit(each) for each in urls]

    def tunnel(self, host: str, port: int) -> bool:
        """Whether an encrypted connection may be made there."""
        return any(each.scheme == "https" and _place(each) == (host.lower(), port) for each in self._known)

    def request(self, url: SplitResult) -> bool:
        """Whether a plain request for that may be made."""
        path = unquote(url.path)
        if "\0" in path or posixpath.normpath(path or "/") != (path.rstrip("/") or "/"):
            return False
        return any(
            each.scheme == url.scheme == "http" and _place(each) == _place(url) and _below(path, unquote(each.path))
            for each in self._known
        )


def _place(url: SplitResult) -> tuple[str, int]:
    return (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme, 0)


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def start(channel: socket.socket, urls: Sequence[str]) -> None:
    """Serve the tunnel that `channel` is the end of, in a process that ends with this one."""
    child = os.fork()
    if child:
        channel.close()
        return
    try:
        # Nothing of the worker's and of the machine's other channels is for whoever talks to strangers.
        here = os.dup2(channel.fileno(), 3)
        os.closerange(4, 1 << 16)
        for descriptor in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        if os.geteuid() == 0:
            ids = identity.of_caller()
            os.setgroups([])
            os.setresgid(ids.first_group, ids.first_group, ids.first_group)
            os.setresuid(ids.first, ids.first, ids.first)
        # The kernel forgets this when a process changes who it is.
        kernel.die_with_parent(signal.SIGKILL)
        with contextlib.suppress(Broken):
            asyncio.run(_serve(socket.socket(fileno=here), Rules(urls)))
    finally:
        os._exit(0)


async def _serve(channel: socket.socket, rules: Rules) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel)

    async def write(content: bytes) -> None:
        writer.write(content)
        await writer.drain()

    async def opened(stream: Stream) -> None:
        with contextlib.suppress(OSError, ValueError):
            await _answer(stream, rules)
        with contextlib.suppress(OSError):
            await stream.close()

    await Tunnel(reader, write, opened).run()


async def _answer(stream: Stream, rules: Rules) -> None:
    head, rest = b"", b""
    while b"\r\n\r\n" not in head:
        piece = await stream.read()
        head += piece
        if not piece or len(head) > _HEAD_BYTES:
            return
    head, _, rest = head.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, _, target = lines[0].rpartition(" ")[0].partition(" ")
    if method == "CONNECT":
        host, _, number = target.rpartition(":")
        if not (number.isdecimal() and rules.tunnel(host.strip("[]"), int(number))):
            await _refuse(stream, target)
            return
        connection = await _connect(host.strip("[]"), int(number))
        await stream.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    else:
        url = urlsplit(target)
        if method not in ("GET", "HEAD") or not rules.request(url):
            await _refuse(stream, target)
            return
        connection = await _connect(*_place(url))
        # One request a connection: what follows could be for something else.
        kept = [each for each in lines[1:] if not each.lower().startswith(("proxy-", "connection:", "keep-alive:"))]
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        rest = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode("latin-1")
    reader, writer = connection
    writer.write(rest)
    await writer.drain()
    if method == "CONNECT":
        await pump(stream, reader, writer)
    else:
        while piece := await reader.read(1 << 16):
            await stream.write(piece)
        writer.close()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_SECONDS)


async def _refuse(stream: Stream, target: str) -> None:
    text = f"{target[:200]} is none of this job's repositories\\n".encode("latin-1", "replace")
    await stream.write(
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
        % (len(text), text)
    )
