# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests' RabbitMQ node: the example's, with TLS; nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.farm import rabbitmq
from examples.farm.rabbitmq import free_port
from tests.support import certificates

__all__ = ["Node", "free_port", "node"]


class Node(rabbitmq.Node):
    """The node, which asks for a certificate on its port for TLS."""

    def __init__(self, place: Path) -> None:
        certificates.make(place)
        self.tls_port = free_port()
        super().__init__(
            place,
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {place}/ca.pem\nssl_options.certfile = {place}/server.pem\n"
            f"ssl_options.keyfile = {place}/server.key\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and says nothing, inside the `with`."""
        assert self._server
        os.killpg(self._server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._server.pid, signal.SIGCONT)


@contextmanager
def node() -> Iterator[Node]:
    """A node that runs inside the `with`."""
    place = Path(tempfile.mkdtemp(prefix="imager-rabbitmq-"))
    made = Node(place)
    try:
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(place, ignore_errors=True)
