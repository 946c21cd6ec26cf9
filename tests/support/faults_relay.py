# SPDX-License-Identifier: GPL-2.0-or-later
"""A stretch of wire to a broker that a test can cut."""

from __future__ import annotations

import select
import socket
import socketserver
import struct
import threading
from contextlib import suppress
from types import TracebackType

__all__ = ["Relay"]

#: SO_LINGER: what is not sent yet is thrown away, and the other side is told of a break.
_BREAK = struct.pack("ii", 1, 0)


class Relay:
    """Passes on what comes to `address` to a port of loopback; a context."""

    def __init__(self, port: int) -> None:
        self._open: set[socket.socket] = set()
        relay = self

        class Passage(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, ValueError), socket.create_connection(("127.0.0.1", port)) as there:
                    relay._open |= {self.request, there}
                    _pass_on(self.request, there)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Passage)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    def cut(self) -> None:
        """Break every connection there is; new ones can be made."""
        while self._open:
            end = self._open.pop()
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BREAK)
                end.shutdown(socket.SHUT_RDWR)
                end.close()


def _pass_on(here: socket.socket, there: socket.socket) -> None:
    other = {here: there, there: here}
    while True:
        for end in select.select([here, there], [], [])[0]:
            content = end.recv(65536)
            if not content:
                return
            other[end].sendall(content)
