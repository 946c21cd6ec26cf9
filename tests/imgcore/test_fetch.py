# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/fetch.py against servers that are slow, large or lead elsewhere."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from imgcore.fetch import NotFetched, fetch
from tests.support.web import serve


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that reads one request of each connection and then does that."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with connection, suppress(OSError):
                        connection.recv(4096)
                        answer(connection)

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def dripping(beginning: bytes) -> Callable[[socket.socket], object]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        for _ in range(100):
            time.sleep(0.1)
            connection.sendall(b"x")

    return answer


def test_what_is_there_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 200_000)
    with serve(tmp_path) as site:
        assert fetch(f"{site.url}/a", seconds=10, most=200_000) == b"x" * 200_000
        with pytest.raises(NotFetched, match="more than 1 MiB"):
            (tmp_path / "a").write_bytes(b"x" * (2**20 + 1))
            fetch(f"{site.url}/a", seconds=10, most=2**20)
        with pytest.raises(NotFetched, match="it answered 404 Not Found") as caught:
            fetch(f"{site.url}/b", seconds=10, most=9)
        assert caught.value.status == 404


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"],
)
def test_who_sends_a_little_now_and_then_does_not_get_more_time(beginning: bytes) -> None:
    with answering(dripping(beginning)) as url:
        began = time.monotonic()
        with pytest.raises(NotFetched, match=r"within 0\.5 s"):
            fetch(url, seconds=0.5, most=1000)
        assert time.monotonic() - began < 5


def test_a_redirection_to_what_is_no_web_server_is_not_followed() -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n"
    with answering(lambda connection: connection.sendall(there)) as url:
        with pytest.raises(NotFetched, match="unknown url type: ftp"):
            fetch(url, seconds=5, most=1000)


def test_nobody_there_is_told() -> None:
    with pytest.raises(NotFetched, match=r"it does not answer: .*refused"):
        fetch("http://127.0.0.1:1/", seconds=5, most=9)
