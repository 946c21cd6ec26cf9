# SPDX-License-Identifier: GPL-2.0-or-later
"""Small durable facts that the broker keeps for all participants: who has taken a step, which image is cancelled.

A fact is an empty queue that goes away by itself. Declaring a queue is atomic, and declaring it again with other
arguments is refused: so whoever declares it first has it, and everybody sees that.
"""

from __future__ import annotations

from hashlib import sha256

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

__all__ = ["is_set", "place", "release", "take"]

# Milliseconds. A delivery that comes twice comes again at once; a cancelled job may wait in a queue for days.
_TAKEN = 3600 * 1000
_SET = 7 * 24 * 3600 * 1000
_REFUSED, _ABSENT, _OTHER = 403, 404, 406


def take(connection: BlockingConnection, name: str, owner: int) -> bool | None:
    """Whether this owner has `name` now; False: another has it. None: we have no right to ask.

    Raises one of `connection.LOST`.
    """
    arguments = {"x-expires": _TAKEN, "x-message-ttl": owner}
    code = _declare(connection, f"skynet.taken.{_short(name)}", arguments)
    return None if code == _REFUSED else code == 0


def release(channel: BlockingChannel, name: str) -> None:
    """Let go of `name`, which this owner has. Raises one of `connection.LOST`."""
    channel.queue_delete(f"skynet.taken.{_short(name)}")


def place(connection: BlockingConnection, name: str) -> bool:
    """Set the mark `name`; False: we have no right to. Raises one of `connection.LOST`."""
    return _declare(connection, f"skynet.cancelled.{_short(name)}", {"x-expires": _SET}) == 0


def is_set(connection: BlockingConnection, name: str) -> bool:
    """Whether the mark `name` is set. Raises one of `connection.LOST`."""
    return _declare(connection, f"skynet.cancelled.{_short(name)}", None) == 0


def _short(name: str) -> str:
    return name if len(name) <= 150 and name.isascii() else sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _declare(connection: BlockingConnection, queue: str, arguments: dict[str, int] | None) -> int:
    """Declare a queue (or with None, ask for it); 0 or the code of the refusal."""
    channel = connection.channel()
    try:
        if arguments is None:
            channel.queue_declare(queue, passive=True)
        else:
            channel.queue_declare(queue, durable=True, arguments=arguments)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code not in (_REFUSED, _ABSENT, _OTHER):
            raise
        return int(error.reply_code)
    channel.close()
    return 0
