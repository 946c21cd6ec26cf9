# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the tunnel: an HTTP proxy that leads to the job's repositories and nowhere else.

Plain requests must be for something below a repository's URL, and are written anew: with the host of that URL,
and the few fields that whoever loads packages needs. For https only host and port can be told, as the rest is not
for our eyes. References: RFC 9110 (CONNECT, request targets), RFC 9112 (what a head may have). It runs in a process
of its own, as a user without rights where root started it. A leaf: standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
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
_REQUEST = re.compile(r"([A-Z]+) ([!-~\x80-\xff]+) HTTP/1\.[01]")
#: No control character, of which some servers take one for the end of a line, and no line that goes on in the next.
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t -~\x80-\xff]*")
#: All that a repository is told; above all no other host, and nothing that says that a body or a request follows.
_PASSED = re.compile(r"accept(-.+)?|authorization|cache-control|if-.+|pragma|range|user-agent")


class Rules:
    """What may be reached, by the URLs of the repositories."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._known = [urlsplit(each) for each in urls]

    def tunnel(self, host: str, port: int) -> bool:
        """Whether an encrypted connection may be made there."""
        return any(each.scheme == "https" and _place(each) == (host.lower(), port) for each in self._known)

    def request(self, url: SplitResult) -> bool:
        """Whether a plain request for that may be made."""
        return any(
            each.scheme == url.scheme == "http" and _place(each) == _place(url) and _below(url.path, each.path)
            for each in self._known
        )


def _place(url: SplitResult) -> tuple[str, int]:
    return (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme, 0)


def _below(path: str, top: str) -> bool:
    """Whether `path` is at or below `top`, whatever a server makes of dots and slashes in it."""
    # Some servers leave out what follows a semicolon first.
    if any(unquote(part).partition(";")[0] == ".." for part in path.split("/")):
        return False
    above, parts = _parts(top.rstrip("/")), _parts(path)
    more = "".join(parts[len(above) :])
    return parts[: len(above)] == above and not any(each in more for each in "/\\\0")


def _parts(path: str) -> list[str]:
    """The parts of a path, decoded, without those that clients leave out of what they ask for (RFC 3986, 5.2.4)."""
    found: list[str] = []
    for part in map(unquote, path.split("/")[1:]):
        if part == "..":
            found[-1:] = []
        elif part != ".":
            found.append(part)
    return found


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
    first, *lines = head.decode("latin-1").split("\r\n")
    request, fields = _REQUEST.fullmatch(first), [_FIELD.fullmatch(each) for each in lines]
    if request is None or None in fields:
        await _refuse(stream, "400 Bad Request", "this is no request")
        return
    method, target = request.groups()
    if method == "CONNECT":
        host, _, number = target.rpartition(":")
        if not (number.isdecimal() and rules.tunnel(host.strip("[]"), int(number))):
            await _forbid(stream, target)
            return
        connection = await _connect(host.strip("[]"), int(number))
        await stream.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    else:
        url = urlsplit(target)
        if method not in ("GET", "HEAD") or not rules.request(url):
            await _forbid(stream, target)
            return
        connection = await _connect(*_place(url))
        passed = [each[0] for each in fields if each is not None and _PASSED.fullmatch(each[1].lower())]
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        # One request a connection: what follows could be for something else.
        written = [f"{method} {path} HTTP/1.1", f"Host: {_authority(url)}", *passed, "Connection: close", "", ""]
        rest = "\r\n".join(written).encode("latin-1")
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


def _authority(url: SplitResult) -> str:
    host, port = _place(url)
    return (f"[{host}]" if ":" in host else host) + ("" if port == _PORTS[url.scheme] else f":{port}")


async def _forbid(stream: Stream, target: str) -> None:
    await _refuse(stream, "403 Forbidden", f"{target[:200]} is none of this job's repositories")


async def _refuse(stream: Stream, status: str, reason: str) -> None:
    text = f"{reason}\n"
    await stream.write(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}".encode("latin-1")
    )
