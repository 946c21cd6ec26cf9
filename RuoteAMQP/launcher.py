# SPDX-License-Identifier: GPL-2.0-or-later
"""Launch items: start a process, register a participant with the engine.

When `launch` returns, the broker has confirmed the item and keeps it on disk.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from RuoteAMQP import wire
from RuoteAMQP.connection import ENGINE_QUEUE, LOST, Broker, BrokerError, close, pauses, publish
from RuoteAMQP.proxy import DictAttrProxy

__all__ = ["Launcher", "launch_item", "register_item", "unregister_item"]


class Launcher:
    """Launches processes. Each launch connects anew, unless the launcher is used as a context (`with`)."""

    def __init__(
        self,
        amqp_host: str = "localhost",
        amqp_user: str = "boss",
        amqp_pass: str = "boss",  # noqa: S107
        amqp_vhost: str = "boss",
        *,
        broker: Broker | None = None,
        patience: float = 10.0,
    ) -> None:
        self.broker = broker or Broker.at(amqp_host, user=amqp_user, password=amqp_pass, vhost=amqp_vhost)
        self.patience = patience
        self._kept: tuple[BlockingConnection, BlockingChannel] | None = None

    def __enter__(self) -> Launcher:
        self._kept = self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept, self._kept = self._kept, None
        if kept:
            close(kept[0])

    def launch(
        self,
        process: str | list[Any] | dict[str, Any],
        fields: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a process: a tree (list or dictionary), radial or Ruby text.

        Raises TypeError or ValueError for what cannot be sent, BrokerError when the broker cannot be had. An item
        whose confirm did not come is not sent again, for then the process could run twice.
        """
        self.send(launch_item(process, fields, variables))

    def register(self, name: str, queue: str | None = None) -> None:
        """Tell the engine that steps of this name (or regular expression) go to this queue."""
        self.send(register_item(name, queue))

    def unregister(self, name: str, queue: str | None = None) -> None:
        """Take a registration back."""
        self.send(unregister_item(name, queue))

    def send(self, item: Mapping[str, Any]) -> None:
        """Send an item to the engine as it is."""
        body = wire.encode(item)
        connection, channel = self._kept or self._connect()
        try:
            publish(connection, channel, ENGINE_QUEUE, body)
        except LOST as error:
            raise BrokerError(f"not known to be sent: {self.broker.reason(error)}") from error
        finally:
            if not self._kept:
                close(connection)

    def _connect(self) -> tuple[BlockingConnection, BlockingChannel]:
        end = time.monotonic() + self.patience
        for pause in pauses():
            try:
                connection = self.broker.connect()
                channel = connection.channel()
                channel.confirm_delivery()
                return connection, channel
            except LOST as error:
                if time.monotonic() + pause > end or "does not let" in self.broker.reason(error):
                    raise BrokerError(self.broker.reason(error)) from error
                time.sleep(pause)
        raise AssertionError("the pauses never end")


def launch_item(
    process: str | list[Any] | dict[str, Any],
    fields: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The item that starts a process."""
    if isinstance(process, bytes) or not isinstance(process, str | list | tuple | dict):
        raise TypeError(f"a process is a tree or a text, not {type(process).__name__}")
    if not process or (isinstance(process, str) and not process.strip()):
        raise ValueError("the process is empty")
    for what, value in (("fields", fields), ("variables", variables)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{what} are a dictionary, not {type(value).__name__}")
    return {"definition": process, "fields": _plain(fields), "variables": _plain(variables)}


def _plain(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return value.as_dict() if isinstance(value, DictAttrProxy) else dict(value)


def register_item(name: str, queue: str | None = None) -> dict[str, Any]:
    """The item that registers a participant."""
    return _registration("register", name, queue, {})


def unregister_item(name: str, queue: str | None = None) -> dict[str, Any]:
    """The item that takes a registration back."""
    return _registration("unregister", name, queue, {"action": "unregister"})


def _registration(process: str, name: str, queue: str | None, attributes: dict[str, str]) -> dict[str, Any]:
    if not name:
        raise ValueError("a participant without a name cannot be registered")
    # Not called like its step: the engine would take the step for the process, for ever.
    tree = ["define", {"name": f"{process}_participant"}, [["sequence", {}, [["boss_register", attributes, []]]]]]
    return launch_item(tree, {"name": name, "queue": queue or name})
