# SPDX-License-Identifier: GPL-2.0-or-later
"""What a participant has still to send: letters, which its journal has, and lossy messages, which nobody keeps.

Letters leave in the order in which they were given, persistent, and again until the broker has confirmed them. A
queue that refuses them holds up nobody else's. `put` and `lossy` may be called by any thread, all else by the
connection's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from RuoteAMQP.connection import BrokerError, publish
from RuoteAMQP.journal import Letter, Memory

__all__ = ["Outbox"]

_log = logging.getLogger(__name__)
# Seconds between two attempts with a queue that refuses.
_RETRY = 10.0
# Milliseconds after which nobody wants a lossy message any more: who is slow reads the newer ones.
_STALE = "10000"


class Outbox:
    """The letters of `journal` and of this process; `wake` is called when there is something to send."""

    def __init__(self, journal: Memory, wake: Callable[[], None]) -> None:
        self._journal = journal
        self._wake = wake
        self._guard = threading.Lock()
        self._letters: deque[Letter] = deque()
        self._lossy: deque[tuple[str, bytes]] = deque()
        self._refusing: dict[str, float] = {}
        self._open = self.blocked = False

    def __len__(self) -> int:
        return len(self._letters)

    def answers(self, step: str) -> bool:
        """Whether the answer to this step waits here."""
        return bool(step) and any(letter.step == step for letter in list(self._letters))

    def post(self, queue: str, body: bytes) -> Letter:
        """Have a message sent. Raises OSError for a journal that cannot be written."""
        return self._put(lambda: self._journal.post(queue, body))

    def answer(self, step: str, queue: str, body: bytes) -> Letter:
        """Have the answer to a step sent."""
        return self._put(lambda: self._journal.answer(step, queue, body))

    def lossy(self, queue: str, body: bytes) -> None:
        """Have a message sent if that can be at once, and else forgotten."""
        if self._open and not self._letters and not self.blocked:
            self._lossy.append((queue, body))
            self._wake()

    def resume(self) -> None:
        """Take over what the journal has, before what was posted since."""
        known = {letter.path for letter in self._letters}
        self._letters.extendleft(reversed([each for each in self._journal.letters() if each.path not in known]))

    def attach(self, connection: BlockingConnection) -> None:
        """Send by this connection from now on."""
        self._open, self.blocked = True, False
        connection.add_on_connection_blocked_callback(self._block)
        connection.add_on_connection_unblocked_callback(self._unblock)

    def detach(self) -> None:
        """The connection is gone."""
        self._open = False

    def send(self, connection: BlockingConnection, channel: BlockingChannel, sent: Callable[[Letter], None]) -> None:
        """Send what can be sent; `sent` hears of each letter that is confirmed. Raises one of LOST."""
        now = time.monotonic()
        if self._letters:
            # Given before any of these, it would come after them.
            self._lossy.clear()
        for letter in list(self._letters):
            if self.blocked:
                return
            if self._refusing.get(letter.queue, 0.0) > now:
                continue
            try:
                # Removed when it is confirmed, so that it is sent again when the connection breaks.
                publish(connection, channel, letter.queue, letter.body)
            except (BrokerError, pika.exceptions.NackError) as error:
                # What cannot be sent is kept, not thrown away; others need not wait for it.
                why = str(error) if isinstance(error, BrokerError) else "it takes no more (its length is limited)"
                _log.warning("%d messages wait for queue %s: %s", len(self._letters), letter.queue, why)
                self._refusing[letter.queue] = now + _RETRY
                if not channel.is_open:
                    raise pika.exceptions.AMQPError(str(error)) from error
                continue
            self._letters.remove(letter)
            sent(letter)
        while self._lossy:
            queue, body = self._lossy.popleft()
            if not self._letters and not self.blocked:
                properties = pika.BasicProperties(content_type="application/json", expiration=_STALE)
                channel.basic_publish("", queue, body, properties)

    def abandon(self, error: BaseException) -> None:
        """Tell those who wait for a confirm that none will come."""
        while self._letters:
            letter = self._letters.popleft()
            letter.error = error
            letter.sent.set()

    def _put(self, make: Callable[[], Letter]) -> Letter:
        # In the order in which the journal has them.
        with self._guard:
            letter = make()
            self._letters.append(letter)
        self._wake()
        return letter

    def _block(self, *_: object) -> None:
        self.blocked = True
        _log.warning("the broker is short of memory or disk and takes no messages")

    def _unblock(self, *_: object) -> None:
        self.blocked = False
