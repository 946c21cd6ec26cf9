# SPDX-License-Identifier: GPL-2.0-or-later
"""A RabbitMQ node of one's own, without systemd and beside the machine's: on loopback, with its own data and epmd.

It is for trying things out and for tests.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import psutil
from pika.adapters.blocking_connection import BlockingConnection

__all__ = ["Node", "free_port"]

# Below Debian's wrapper, which would change the user.
_BIN = Path("/usr/lib/rabbitmq/bin")
USER, VHOST = "guest", "/"


def free_port() -> int:
    """A port of loopback that nobody uses now, and that no connection gets by itself (ip(7), ip_local_port_range)."""
    for port in random.sample(range(16000, 32000), 100):
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port of loopback is free")


class Node:
    """The node, whose files are in `place`: `start`, `stop`, `kill`; `address`, and a plain `connect`.

    `password` is the one of its only user, guest; `settings` are more lines of rabbitmq.conf.
    """

    def __init__(self, place: Path, settings: str = "", password: str = "guest") -> None:  # noqa: S107
        self.place = place
        self._password = password
        self.port, self._epmd_port, self._dist_port = (free_port() for _ in range(3))
        self._name = f"imager-{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        (place / "plugins").write_text("[].\n")
        (place / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\ndefault_pass = {password}\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\nlog.file.level = warning\n"
            + settings
        )

    @property
    def address(self) -> str:
        """Host and port."""
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
        end = time.monotonic() + 180
        while time.monotonic() < end and self._server.poll() is None:
            try:
                self.connect().close()
                return
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"RabbitMQ did not start: {(self.place / 'output').read_text()[-3000:]}")

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
        """A connection for looking at it."""
        return BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                self.port,
                VHOST,
                pika.PlainCredentials(USER, self._password),
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
