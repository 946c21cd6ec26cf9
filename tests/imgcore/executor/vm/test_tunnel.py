# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/tunnel.py and proxy.py: over one channel to the repositories, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import http.server
import os
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from imgcore.executor.vm import proxy, tunnel
from tests.support.rabbitmq import free_port

BIG = os.urandom(3 << 20)


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(BIG)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(BIG)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    made.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def way(server: http.server.ThreadingHTTPServer) -> Iterator[int]:
    """The port of the machine's end; the host's end leads to /repo of the server, and to https of port 1."""
    here, there = socket.socketpair()
    url = f"http://127.0.0.1:{server.server_port}/repo"
    proxy.start(there, [url, "https://127.0.0.1:1/x"])
    port = free_port()
    inside = os.fork()
    if inside == 0:
        with contextlib.suppress(BaseException):
            asyncio.run(_inside(here, port))
        os._exit(0)
    here.close()
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        threading.Event().wait(0.05)
    yield port
    os.kill(inside, 9)
    os.waitpid(inside, 0)


async def _inside(channel: socket.socket, port: int) -> None:
    reader, writer = await asyncio.open_connection(sock=channel)

    async def write(content: bytes) -> None:
        writer.write(content)
        await writer.drain()

    await tunnel.listen(tunnel.Tunnel(reader, write), port)


def ask(way: int, url: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", way, timeout=20)
    connection.request(method, url, headers={"Proxy-Authorization": "secret", "Host": urlsplit(url).netloc})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_a_file_of_a_repository_comes_whole(way: int, server: http.server.ThreadingHTTPServer) -> None:
    status, content = ask(way, f"http://127.0.0.1:{server.server_port}/repo/repodata/repomd.xml?x=1")
    assert (status, content) == (200, BIG)
    path, headers = server.seen[-1]  # type: ignore[attr-defined]
    assert path == "/repo/repodata/repomd.xml?x=1"
    assert "Proxy-Authorization" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/", "/other/x", "/repository/x", "/repo/../secret", "/repo/%2e%2e/secret", "/repo/..%2fsecret", "//repo/x",
        "/repo/..;a/secret", "/repo/..%5csecret", "/repo/x%00", "/repo/a%2f..%2f..%2fsecret",
    ],
)  # fmt: skip
def test_what_is_not_below_a_repository_is_refused_and_not_asked_for(
    way: int, server: http.server.ThreadingHTTPServer, path: str
) -> None:
    status, content = ask(way, f"http://127.0.0.1:{server.server_port}{path}")
    assert status == 403
    assert b"none of this job's repositories" in content
    assert server.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.2:80/repo/x", "https://127.0.0.1:1/x", "file:///etc/passwd", "/repo/x", "x"]
)
def test_another_place_is_refused(way: int, url: str) -> None:
    assert ask(way, url)[0] == 403


def test_other_methods_are_refused(way: int, server: http.server.ThreadingHTTPServer) -> None:
    assert ask(way, f"http://127.0.0.1:{server.server_port}/repo/x", "PUT")[0] == 403


def raw(way: int, sent: bytes) -> bytes:
    """What comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", way), 60) as client:
        client.sendall(sent)
        client.settimeout(60)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_a_repository_is_told_its_own_name_and_only_what_loading_takes(
    way: int, server: http.server.ThreadingHTTPServer
) -> None:
    port = server.server_port
    fields = b"Range: bytes=0-\r\nhost: other.example\r\nAuthorization: Basic eDp5\r\nIf-None-Match: a\r\nX-Y: z\r\n"
    fields += b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\nUpgrade: x\r\nAccept-Encoding: gzip\r\n"
    answer = raw(way, b"GET http://127.0.0.1:%d/repo/x HTTP/1.1\r\nHost: other.example\r\n%s\r\n" % (port, fields))
    assert answer.startswith(b"HTTP/1.0 200")
    assert server.seen[-1][1] == {  # type: ignore[attr-defined]
        "Host": f"127.0.0.1:{port}", "Range": "bytes=0-", "Authorization": "Basic eDp5", "If-None-Match": "a",
        "Accept-Encoding": "gzip", "Connection": "close",
    }  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        *(
            b"GET URL HTTP/1.1\r\n" + fields
            for field in (
                b"A: b\nGET /secret HTTP/1.1\nHost: x\n\n", b"A: b\rHost: other", b"A: \0", b" more", b"\tmore", b"a",
                b"Host : x", b": x", b"A: b\x0bc",
            )
            for fields in (field, b"Accept: */*\r\n" + field, field + b"\r\nAccept: */*")
        ),
        b"GET URL", b"GET URL HTTP/1.1 HTTP/1.1", b"GET\tURL HTTP/1.1", b"GET URL\n HTTP/1.1",
        b"\r\nGET URL HTTP/1.1",
    ],
)  # fmt: skip
def test_a_head_that_two_servers_could_read_in_two_ways_is_refused(
    way: int, server: http.server.ThreadingHTTPServer, head: bytes
) -> None:
    url = b"http://127.0.0.1:%d/repo/x" % server.server_port
    assert raw(way, head.replace(b"URL", url) + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert server.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("top", ["http://h/a//b/./c/", "http://h:80/a//x/../b/c", "http://H/a//%62/c//"])
def test_a_repository_is_found_as_its_path_is_written_and_as_clients_shorten_it(top: str) -> None:
    rules = proxy.Rules([top])
    for path in ("/a//b/./c/x", "/a//b/c/x", "/a//b/c", "/a//b/c//x", "/a//%62/c/./x"):
        assert rules.request(urlsplit(f"http://h{path}")), path
    for path in ("/a/b/c/x", "//a//b/c/x", "/a//b/x", "/a//b/c/../x", "/a//b/cx"):
        assert not rules.request(urlsplit(f"http://h{path}")), path


def test_an_encrypted_connection_goes_to_the_host_and_port_of_an_https_repository_only(way: int) -> None:
    def connect(target: str) -> bytes:
        with socket.create_connection(("127.0.0.1", way), 10) as client:
            client.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
            return client.recv(100)

    assert b"403" in connect("127.0.0.1:22")
    assert b"403" in connect("127.0.0.1:x")
    # Allowed; nothing listens there.
    assert connect("127.0.0.1:1") == b""


def test_many_at_once_come_whole_each(way: int, server: http.server.ThreadingHTTPServer) -> None:
    results: list[bool] = []
    url = f"http://127.0.0.1:{server.server_port}/repo/x"
    threads = [threading.Thread(target=lambda: results.append(ask(way, url) == (200, BIG))) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == [True] * 12


def test_one_that_reads_nothing_holds_up_no_other(way: int, server: http.server.ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}/repo/x"
    with socket.create_connection(("127.0.0.1", way), 10) as idle:
        idle.sendall(f"GET {url} HTTP/1.1\r\n\r\n".encode())
        assert ask(way, url) == (200, BIG)


def test_a_request_without_end_is_dropped(way: int) -> None:
    with socket.create_connection(("127.0.0.1", way), 10) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET /" + b"x" * (1 << 17))
        with contextlib.suppress(OSError):
            assert client.recv(10) == b""


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">IcI", 1, b"O", 0) * 2,
        b"".join(struct.pack(">IcI", number, b"O", 0) for number in range(100)),
        struct.pack(">IcI", 1, b"Z", 0),
        struct.pack(">IcI", 1, b"D", 1 << 30),
        struct.pack(">IcI", 1, b"W", 3) + b"abc",
        struct.pack(">IcI", 1, b"O", 0) + struct.pack(">IcII", 1, b"W", 4, 2**31),
        struct.pack(">IcIIcIIcI", 1, b"O", 0, 1, b"C", 0, 1, b"C", 0),
        struct.pack(">IcIIcIIcI", 1, b"O", 0, 1, b"C", 0, 1, b"D", 1) + b"x",
    ],
)
def test_a_machine_that_breaks_the_tunnels_rules_loses_it(sent: bytes) -> None:
    here, there = socket.socketpair()
    proxy.start(there, [])
    here.settimeout(20)
    here.sendall(sent)
    while here.recv(4096):
        pass
    here.close()
