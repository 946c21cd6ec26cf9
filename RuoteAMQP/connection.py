# SPDX-License-Identifier: GPL-2.0-or-later
"""How a broker is reached: address, login and TLS; one confirmed publish; the pauses between attempts.

A password is in no `repr`, error or log line. What is published is persistent and mandatory, and either the broker
confirmed it when `publish` returns, or an exception says why not.
"""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

__all__ = ["ENGINE_QUEUE", "LOST", "PRIORITIES", "Broker", "BrokerError", "close", "declare", "pauses", "publish"]

# Where the engine reads replies and launch items.
ENGINE_QUEUE = "ruote_workitems"

# With these arguments a queue that is ours is declared: messages of priority 1 come before those of 0.
PRIORITIES = {"x-max-priority": 2}

# Whatever a connection can end with.
LOST = (pika.exceptions.AMQPError, OSError)

# host, host:port or [address]:port
_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^\s:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_PORT, _TLS_PORT = 5672, 5671
# Seconds. A broker that is out of memory or disk blocks who publishes, and so all else that they do; after this we
# start anew, nothing is lost.
_BLOCKED = 10.0
_CONNECT = 5.0


class BrokerError(RuntimeError):
    """The broker refuses for a reason that trying again does not change."""


@dataclass(frozen=True)
class Broker:
    """A broker's address and our login. With `ca` or `certificate` the connection is TLS and verified."""

    host: str = "localhost"
    port: int | None = None
    user: str = "boss"
    password: str = field(default="boss", repr=False)
    vhost: str = "boss"
    heartbeat: int = 30
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    client: str = "RuoteAMQP"

    @classmethod
    def at(cls, address: str, **options: Any) -> Broker:
        """A broker at `host`, `host:port` or `[address]:port`. Raises ValueError for another address."""
        host, port = _split(address)
        return cls(host=host, port=port, **options)

    @property
    def address(self) -> str:
        """What a person calls the broker by."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or (_TLS_PORT if self.encrypted else _PORT)}{'/' + self.vhost.lstrip('/')}"

    @property
    def encrypted(self) -> bool:
        """Whether TLS is used."""
        return self.tls or self.ca is not None or self.certificate is not None

    def connect(self) -> BlockingConnection:
        """Connect. Raises one of LOST, or BrokerError for files of TLS that cannot be used."""
        return BlockingConnection(
            pika.ConnectionParameters(
                host=self.host,
                port=self.port or (_TLS_PORT if self.encrypted else _PORT),
                virtual_host=self.vhost,
                credentials=pika.PlainCredentials(self.user, self.password),
                heartbeat=self.heartbeat,
                blocked_connection_timeout=_BLOCKED,
                connection_attempts=1,
                socket_timeout=_CONNECT,
                stack_timeout=2 * _CONNECT,
                ssl_options=self._tls_options(),
                client_properties={"product": self.client, "connection_name": self.client},
            )
        )

    def check(self) -> None:
        """Raise BrokerError for files of TLS that cannot be used."""
        self._tls_options()

    def _tls_options(self) -> pika.SSLOptions | None:
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.certificate:
                context.load_cert_chain(str(self.certificate), str(self.key) if self.key else None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self.ca, self.certificate, self.key) if file)
            raise BrokerError(f"TLS cannot be used with {files}: {error}") from error
        return pika.SSLOptions(context, self.host)

    def reason(self, error: BaseException) -> str:
        """Why the broker is not to be had, as a sentence without its password."""
        if isinstance(error, pika.exceptions.ProbableAuthenticationError | pika.exceptions.AuthenticationError):
            return f"{self.address} does not let {self.user} in: wrong user or password"
        if isinstance(error, pika.exceptions.ProbableAccessDeniedError):
            return f"{self.address} does not let {self.user} in: no right to that vhost, or no such vhost"
        if isinstance(error, pika.exceptions.AMQPConnectionError) and error.args:
            inner = getattr(error.args[0], "exception", None)
            error = inner if isinstance(inner, BaseException) else error
        return f"{self.address}: {str(error) or type(error).__name__}"


def _split(address: str) -> tuple[str, int | None]:
    found = _ADDRESS.fullmatch(address.strip())
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port < 65536):
        raise ValueError(f"{address!r} is no address of a broker (host or host:port)")
    return found["bracketed"] or found["host"], port


def pauses(longest: float = 30.0) -> Iterator[float]:
    """Seconds to wait before the next attempt: doubling, with chance in them so that not all come at once."""
    pause = 0.2
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311
        pause = min(longest, pause * 2)


def declare(connection: BlockingConnection, queue: str, arguments: Mapping[str, Any] | None = None) -> None:
    """See to it that the durable queue exists. Raises BrokerError if it has other properties or is forbidden."""
    try:
        channel = connection.channel()
        channel.queue_declare(
            queue, durable=True, exclusive=False, auto_delete=False, arguments=dict(arguments) if arguments else None
        )
        channel.close()
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == 406:
            raise BrokerError(f"queue {queue} exists with other properties: {error.reply_text}") from error
        if error.reply_code != 403:
            raise
        # A user without the right to configure may use a queue that somebody else declared.
        try:
            channel = connection.channel()
            channel.queue_declare(queue, passive=True)
            channel.close()
        except pika.exceptions.ChannelClosedByBroker as second:
            raise BrokerError(f"queue {queue} is not there and may not be declared: {error.reply_text}") from second


def publish(
    connection: BlockingConnection, channel: BlockingChannel, queue: str, body: bytes, *, priority: int = 0
) -> None:
    """Put a message into a queue and wait for the broker's word; `channel` must have confirms switched on.

    A queue that is not there is declared, as a participant does. Raises one of LOST or BrokerError.
    """
    properties = pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", delivery_mode=2, priority=priority
    )
    try:
        channel.basic_publish("", queue, body, properties, mandatory=True)
    except pika.exceptions.UnroutableError:
        declare(connection, queue)
        channel.basic_publish("", queue, body, properties, mandatory=True)


def close(connection: BlockingConnection) -> None:
    """Close a connection, whatever state it is in."""
    try:
        if connection.is_open:
            connection.close()
    except LOST:
        # It is gone, which is what was wanted.
        return
