# SPDX-License-Identifier: GPL-2.0-or-later
"""A gate that processes of a test pass at named points: the test sees who was where, and can have one wait there.

`arrive` is the processes' side; it uses the standard library only and passes without a word where no test listens.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from types import TracebackType

__all__ = ["Gate", "arrive"]


def arrive(address: str, who: str, point: str) -> None:
    """Say that `who` is at `point`; returns when the test lets it pass."""
    host, _, port = address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{who} {point}\n".encode())
        connection.recv(1)


class Gate:
    """The test's side; a context. Whoever is to wait at a point waits the first time only."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._waits: dict[str, str] = {}
        self._let_go: set[str] = set()
        self.passed: list[tuple[str, str]] = []
        gate = self

        class Visitor(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                who, _, point = self.rfile.readline().decode().strip().partition(" ")
                gate.hear(who, point)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 100

        self._server = Server(("127.0.0.1", 0), Visitor)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Gate:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            self._let_go.update(self._waits)
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def hear(self, who: str, point: str) -> None:
        """Somebody is there; returns when it may pass."""
        with self._news:
            first = (who, point) not in self.passed
            self.passed.append((who, point))
            self._news.notify_all()
            if first and self._waits.get(who) == point:
                self._news.wait_for(lambda: who in self._let_go)

    def hold(self, who: str, point: str) -> None:
        """Have `who` wait at that point."""
        self._waits[who] = point

    def let_go(self, *who: str) -> None:
        """Nobody of these waits any more."""
        with self._news:
            self._let_go.update(who)
            self._news.notify_all()

    def wait_for(self, who: str, point: str, *, times: int = 1, within: float = 60) -> None:
        """Wait until `who` was there so many times. Fails where it does not come."""
        with self._news:
            came = self._news.wait_for(lambda: self.passed.count((who, point)) >= times, within)
        assert came, f"{who} came to {point!r} fewer than {times} times: {self.points(who)}"

    def points(self, who: str) -> list[str]:
        """Where it was, in order."""
        with self._news:
            return [point for each, point in self.passed if each == who]
