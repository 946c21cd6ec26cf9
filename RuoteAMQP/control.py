# SPDX-License-Identifier: GPL-2.0-or-later
"""The control exchange: what everybody may say to all participants at once, and what they answer.

A message is a JSON object with an `action`; every participant that listens hears it, and answers where it has
something to say and an answer is wanted. RabbitMQ vouches for the user that sent it (`user`). Nothing here is kept:
what must be known later too (a cancelled job that still waits) is a mark (`RuoteAMQP.marks`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from RuoteAMQP import marks, wire
from RuoteAMQP.connection import LOST, Broker, BrokerError, close

__all__ = ["EXCHANGE", "Control", "Listener"]

EXCHANGE = "skynet.control"
# RabbitMQ's pseudo-queue: answers come on the channel that asked.
_ANSWERS = "amq.rabbitmq.reply-to"
_LONGEST = 1 << 20


class Control:
    """Says and asks, on a connection of its own; a context. Raises BrokerError when the broker is not to be had."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection: BlockingConnection | None = None

    def __enter__(self) -> Control:
        try:
            self._connection = self._broker.connect()
            self._channel = self._connection.channel()
            _declare(self._channel)
            self._channel.confirm_delivery()
        except LOST as error:
            self._end()
            raise BrokerError(_refused(error) or self._broker.reason(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._connection:
            close(self._connection)
            self._connection = None

    def tell(self, action: str, **fields: Any) -> None:
        """Say something to all."""
        self._publish({"action": action, **fields}, None)

    def ask(self, action: str, within: float = 1.0, **fields: Any) -> list[dict[str, Any]]:
        """Ask all; the answers that come within so many seconds."""
        answers: list[dict[str, Any]] = []

        def heard(channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
            answer = _message(body)
            if answer is not None:
                answers.append(answer)

        connection = self._open()
        try:
            consumer = self._channel.basic_consume(_ANSWERS, heard, auto_ack=True)
            self._publish({"action": action, **fields}, _ANSWERS)
            end = time.monotonic() + within
            while (left := end - time.monotonic()) > 0:
                connection.process_data_events(time_limit=left)
            self._channel.basic_cancel(consumer)
        except LOST as error:
            raise BrokerError(_refused(error) or self._broker.reason(error)) from error
        return answers

    def mark_cancelled(self, image_id: str) -> None:
        """Have participants that are asked to begin with that image later know that it is cancelled."""
        try:
            placed = marks.place(self._open(), image_id)
        except LOST as error:
            raise BrokerError(self._broker.reason(error)) from error
        if not placed:
            raise BrokerError(f"{self._broker.user} has no right to declare skynet.cancelled.{image_id}")

    def _open(self) -> BlockingConnection:
        if self._connection is None:
            raise RuntimeError("a Control is used in a `with`")
        return self._connection

    def _publish(self, message: dict[str, Any], reply_to: str | None) -> None:
        self._open()
        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=1, reply_to=reply_to, user_id=self._broker.user
        )
        try:
            self._channel.basic_publish(EXCHANGE, "", wire.encode(message), properties)
        except LOST as error:
            raise BrokerError(_refused(error) or self._broker.reason(error)) from error


class Listener:
    """Hears the control exchange on a participant's connection."""

    def __init__(self, hear: Callable[[dict[str, Any]], bytes | None]) -> None:
        """`hear` is given each message, and makes the answer, if there is one."""
        self._hear = hear

    def attach(self, connection: BlockingConnection, log: Any, lost: Callable[[], None]) -> None:
        """Listen from now on. Without the right to, it is said in the log and all else goes on.

        `lost` is called when the broker takes the queue away.
        """
        channel = connection.channel()
        channel.add_on_cancel_callback(lambda _: lost())
        try:
            _declare(channel)
            queue = channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
            channel.queue_bind(queue, EXCHANGE)
            channel.basic_consume(queue, self._heard, auto_ack=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            log.warning("cannot be controlled: %s", error.reply_text)

    def _heard(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        message = _message(body)
        if message is None or not isinstance(message.get("action"), str):
            return
        # The broker has checked it, if the sender said it at all.
        message["user"] = properties.user_id or ""
        answer = self._hear(message)
        # Not into any queue that somebody names who may not write there.
        if answer is not None and str(properties.reply_to).startswith(_ANSWERS):
            channel.basic_publish("", properties.reply_to, answer)


def _declare(channel: BlockingChannel) -> None:
    """See to it that the exchange is there; whoever may not configure it can use it when it is."""
    look = channel.connection.channel()
    try:
        look.exchange_declare(EXCHANGE, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != 404:
            raise
        channel.exchange_declare(EXCHANGE, "fanout", durable=True)
    else:
        look.close()


def _message(body: bytes) -> dict[str, Any] | None:
    if len(body) > _LONGEST:
        return None
    try:
        message = wire.decode(body)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _refused(error: BaseException) -> str:
    text = getattr(error, "reply_text", "")
    return f"the broker refuses: {text}" if text else ""
