"""A RabbitMQ node of the tests' own: on loopback, with its own data, cookie and epmd; nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import psutil
from pika.adapters.blocking_connection import BlockingConnection

from tests.support import certificates

__all__ = ["Node", "free_port", "node"]

# Below Debian's wrapper, which would change the user.
_BIN = Path("/usr/lib/rabbitmq/bin")
USER, PASSWORD, VHOST = "guest", "guest", "/"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Node:
    """The node: `start`, `stop`, `kill`; `address`, and a plain `connect` for looking at queues."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port, self.tls_port, self._epmd_port, self._dist_port = (free_port() for _ in range(4))
        certificates.make(place)
        self._name = f"imager-test-{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        (place / "plugins").write_text("[].\n")
        (place / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {place}/ca.pem\nssl_options.certfile = {place}/server.pem\n"
            f"ssl_options.keyfile = {place}/server.key\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\nlog.file.level = warning\n"
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What `rabbitmqctl` and the server need to find this node and no other."""
        place = str(self.place)
        return {
            **os.environ,
            "HOME": place,
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_MNESIA_BASE": f"{place}/mnesia",
            "RABBITMQ_LOG_BASE": f"{place}/log",
            "RABBITMQ_CONFIG_FILE": f"{place}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{place}/plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{place}/none",
            "RABBITMQ_PID_FILE": f"{place}/pid",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            # Few schedulers: the node does little, and shares the machine with what it serves.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        """Start and wait until it answers."""
        if self._epmd is None:
            self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._server = self._spawn(str(_BIN / "rabbitmq-server"))
        end = time.monotonic() + 60
        while time.monotonic() < end and self._server.poll() is None:
            try:
                self.connect().close()
                return
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"RabbitMQ did not start: {(self.place / 'output').read_text()[-3000:]}")

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.place / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it in order: what is persistent is there after the next start."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for attempt in (how, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(server.pid, attempt)
            end = time.monotonic() + 20
            while time.monotonic() < end:
                server.poll()
                if not _alive(server.pid):
                    return
                time.sleep(0.05)

    def close(self) -> None:
        """End everything."""
        self.kill()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait(10)

    def connect(self, **more: Any) -> BlockingConnection:
        """A connection for the test itself."""
        return BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                self.port,
                VHOST,
                pika.PlainCredentials(USER, PASSWORD),
                connection_attempts=1,
                heartbeat=0,
                **more,
            )
        )

    def ready(self, queue: str) -> int:
        """How many messages of the durable queue wait for a consumer."""
        connection = self.connect()
        try:
            method = connection.channel().queue_declare(queue, durable=True).method
            return int(method.message_count)
        finally:
            connection.close()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        done = subprocess.run(
            [str(_BIN / "rabbitmqctl"), "-q", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout


def _alive(group: int) -> bool:
    """Whether a process of the group runs; the server's script may end before the server."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


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
