# SPDX-License-Identifier: GPL-2.0-or-later
"""A small web server for tests: a directory by HTTP, with ranges, a password, and interruptions on demand."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Site", "serve"]


@dataclass
class Site:
    """What is served, and what was asked for (`GET /path` or `GET /path bytes=5-`)."""

    top: Path
    #: `user:password` that a client must give.
    account: str = ""
    #: Paths with this ending are cut off after half of their bytes, this many times.
    cut: str = ""
    cuts: int = 0
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, ending: str) -> int:
        """How many requests were for a path with this ending."""
        return sum(request.split()[1].endswith(ending) for request in self.requests)


@contextmanager
def serve(top: Path, *, account: str = "", cut: str = "", cuts: int = 0) -> Iterator[Site]:
    """Serve `top` on a free port for the length of a `with`."""
    site = Site(top, account, cut, cuts)
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        given = self.headers.get("Range", "")
        site.requests.append(f"GET {self.path} {given}".strip())
        wanted = "Basic " + base64.b64encode(site.account.encode()).decode()
        if site.account and self.headers.get("Authorization") != wanted:
            self._empty(401, {"WWW-Authenticate": 'Basic realm="test"'})
            return
        # A proxy is asked with a whole URL.
        path = site.top / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self._empty(404, {})
            return
        content = path.read_bytes()
        start = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", given)) else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        rest = content[start:]
        if site.cut and path.name.endswith(site.cut) and site.cuts > 0:
            site.cuts -= 1
            rest = rest[: len(rest) // 2]
            self.close_connection = True
        self.wfile.write(rest)

    def _empty(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""
