# SPDX-License-Identifier: GPL-2.0-or-later
"""Something fetched by HTTP within a time and a size, however slowly or much the other side sends. A leaf."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

__all__ = ["NotFetched", "fetch"]

_CHUNK = 2**16


class NotFetched(Exception):
    """Why there is nothing; `status` is that of the answer, if there was one."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


def fetch(wanted: str | urllib.request.Request, *, seconds: float, most: int, follow: bool = True) -> bytes:
    """What is at an http or https URL: at most `most` bytes, after at most `seconds` in all. Raises NotFetched.

    Without `follow` an answer that leads elsewhere is none.
    """
    with _Deadline(seconds) as deadline:
        try:
            with deadline.opener(follow=follow).open(wanted, timeout=seconds) as answer:
                content = bytearray()
                while len(content) <= most and (chunk := answer.read(_CHUNK)):
                    content += chunk
        except urllib.error.HTTPError as error:
            raise NotFetched(f"it answered {error.code} {error.reason}", error.code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = deadline.over() or f"it does not answer: {getattr(error, 'reason', None) or error}"
            raise NotFetched(why) from error
        if deadline.over():
            # What looks like the end of the answer is that of the time.
            raise NotFetched(deadline.over())
    if len(content) > most:
        raise NotFetched(f"its answer has more than {most >> 20} MiB")
    return bytes(content)


class _Deadline:
    """Ends every connection that was made in it when the time is over. Each read alone could begin it anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()

    def over(self) -> str:
        """That the time is over, as a sentence; empty before."""
        return f"it does not answer within {self._seconds:g} s" if self._over.is_set() else ""

    def opener(self, *, follow: bool) -> urllib.request.OpenerDirector:
        """Opens http and https only, also where an answer leads elsewhere."""
        opener = urllib.request.OpenerDirector()
        for each in (
            urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(), _Handler(self._connection),
            *([urllib.request.HTTPRedirectHandler()] if follow else []),
        ):  # fmt: skip
            opener.add_handler(each)
        return opener

    def _connection(self, kind: Callable[..., Any], host: str, **how: Any) -> Any:
        connection = kind(host, **how)
        connect = connection._create_connection

        def watched(*where: Any) -> socket.socket:
            made: socket.socket = connect(*where)
            with self._lock:
                # A socket of its own for the same connection: TLS takes the other one over.
                self._sockets.append(made.dup())
            if self._over.is_set():
                self._end()
            return made

        connection._create_connection = watched
        return connection

    def _end(self) -> None:
        self._over.set()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens URLs by the connections that `connection` makes."""

    def __init__(self, connection: Callable[..., Any]) -> None:
        super().__init__()
        self._connection = connection

    def http_open(self, request: urllib.request.Request) -> Any:
        """Called for http."""
        return self.do_open(self._made(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> Any:
        """Called for https."""
        return self.do_open(self._made(http.client.HTTPSConnection), request)

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        """Called before both."""
        return self.do_request_(request)

    https_request = http_request

    def _made(self, kind: Callable[..., Any]) -> Any:
        return lambda host, **how: self._connection(kind, host, **how)
