"""A participant: takes workitems from its queue, works, answers the engine.

What always holds:

- The connection belongs to the thread that calls `run`; the work is done by one other thread, so that heartbeats
  never wait for it. One workitem is worked on at a time.
- A delivery is acknowledged after the broker has confirmed the reply. When the connection breaks in between, the
  work goes on; the redelivery is recognised by its step and never worked on a second time by this process.
- A body that is no workitem goes to `refused`, a cancel message to `cancel`; both are then acknowledged, neither is
  answered. Nothing that arrives ends the process.
- An exception of `consume` becomes an error reply, in a shape that the engine survives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from typing import Any

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from RuoteAMQP.connection import ENGINE_QUEUE, LOST, Broker, BrokerError, close, declare, pauses, publish
from RuoteAMQP.delivery import Outgoing, Work, key_of
from RuoteAMQP.launcher import Launcher
from RuoteAMQP.workitem import Workitem

__all__ = ["Participant"]

# Seconds between two looks at what signals and other threads asked for.
_TICK = 0.25
# A connection that lasted so many seconds was a good one: the pauses begin with the shortest again.
_WORKED = 5.0
# Steps whose reply is kept for a redelivery: at most one delivery a connection can be in doubt.
_REMEMBERED = 8


class Participant:
    """Subclass it and write `consume`, which finds its workitem in `self.workitem`."""

    def __init__(
        self,
        ruote_queue: str,
        amqp_host: str = "localhost",
        amqp_user: str = "ruote",
        amqp_pass: str = "ruote",  # noqa: S107
        amqp_vhost: str = "ruote",
        *,
        broker: Broker | None = None,
        message_limit: int = 16 << 20,
    ) -> None:
        self.queue = ruote_queue
        self.broker = broker or Broker.at(amqp_host, user=amqp_user, password=amqp_pass, vhost=amqp_vhost)
        self.message_limit = message_limit
        self.log: Any = logging.getLogger(__name__)
        self.workitem: Workitem | None = None
        self._works: list[Work] = []
        self._answered: OrderedDict[str, bytes | None] = OrderedDict()
        self._outgoing: deque[Outgoing] = deque()
        self._wake_worker = threading.Condition()
        self._running = False
        self._thread = 0
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        # Plain values, for a signal handler may set them at any moment.
        self._deadline: float | None = None
        self._renew = False

    # --- for subclasses

    def consume(self) -> None:
        """Do the work for `self.workitem`; what is changed in it is the reply. Runs in the working thread."""

    def failed(self, error: BaseException) -> None:
        """Hear that `consume` ended with an exception, which the engine is told. Logs it."""
        self.log.error("error while working on %s", self.workitem and self.workitem.sid, exc_info=error)

    def cancel(self, workitem: Workitem) -> None:
        """Hear that the engine cancelled a step (often which one is not to be read). Must be quick."""
        self.log.warning("cancel message for %s ignored", workitem.wfid or "an unknown process")

    def refused(self, body: bytes, reason: str) -> None:
        """Hear of a message that is no workitem; it is acknowledged afterwards."""

    def connected(self) -> None:
        """Hear that workitems are taken now."""

    def disconnected(self, reason: str, pause: float) -> None:
        """Hear that the broker is away and that the next attempt is `pause` seconds off."""

    def tick(self) -> None:
        """Called a few times a second by the thread of `run`, whether there is a connection or not."""

    # --- for everybody

    def run(self) -> None:
        """Take workitems until `finish`. Raises BrokerError when the queue cannot be used as it is."""
        if self._running:
            raise RuntimeError("the participant runs already")
        self._running, self._thread = True, threading.get_ident()
        worker = threading.Thread(target=self._work, name=f"work of {self.queue}", daemon=True)
        worker.start()
        try:
            self._run()
        finally:
            self._running = False
            self._unsent("the participant has ended")
            with self._wake_worker:
                self._wake_worker.notify_all()

    def finish(self, grace: float = 30.0) -> None:
        """End `run`: nothing more is taken, what is held is finished, or given back after `grace` seconds.

        May be called by any thread and by a signal handler.
        """
        deadline = time.monotonic() + grace
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)

    def running(self) -> bool:
        """Whether `run` is under way and nobody called `finish`."""
        return self._running and self._deadline is None

    @property
    def busy(self) -> bool:
        """Whether a workitem is held."""
        return bool(self._works)

    def reconnect(self) -> None:
        """Connect anew, to what `broker` and `queue` are now."""
        self._renew = True

    def reply_to_engine(self, workitem: Workitem | None = None) -> None:
        """Send a workitem to the engine; returns when the broker confirmed it, however long that takes.

        What `consume` was given is sent by itself when it returns. Raises RuntimeError when the participant does
        not run or ends before.
        """
        item = workitem if workitem is not None else self.workitem
        if item is None:
            raise RuntimeError("there is no workitem to reply with")
        outgoing = Outgoing(self._bounded(item.encode()))
        if not self._running:
            raise RuntimeError("the participant does not run, so nothing can be sent")
        self._outgoing.append(outgoing)
        if threading.get_ident() == self._thread:
            if self._connection and self._channel:
                self._send(self._connection, self._channel)
            return
        self._wake()
        while not outgoing.sent.wait(_TICK * 4):
            if not self._running:
                raise RuntimeError("the participant ended before the broker confirmed")
        if outgoing.error:
            raise RuntimeError(str(outgoing.error)) from outgoing.error

    def register(self, name: str | None = None, queue: str | None = None) -> None:
        """Register with the engine: steps of that name (or regular expression) come to the queue."""
        Launcher(broker=self.broker).register(name or self.queue, queue or self.queue)

    def unregister(self, name: str | None = None, queue: str | None = None) -> None:
        """Take the registration back."""
        Launcher(broker=self.broker).unregister(name or self.queue, queue or self.queue)

    # --- the connection's thread

    def _run(self) -> None:
        attempts, began = pauses(), 0.0
        while self._deadline is None or (self._pending() and not self._late()):
            self._renew = False
            try:
                connection = self.broker.connect()
                began = time.monotonic()
                try:
                    self._serve(connection)
                    continue
                finally:
                    if time.monotonic() - began > _WORKED:
                        attempts = pauses()
                    self._connection = self._channel = None
                    self._forget_deliveries()
                    close(connection)
            except LOST as error:
                reason = self.broker.reason(error)
            pause = next(attempts)
            self.log.warning("no connection to the broker, next attempt in %.1f s: %s", pause, reason)
            self.disconnected(reason, pause)
            self._wait(pause)

    def _serve(self, connection: BlockingConnection) -> None:
        declare(connection, self.queue)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        consumer = ""
        if self._deadline is None:
            consumer = channel.basic_consume(self.queue, self._delivered)
        self._connection, self._channel = connection, channel
        self.log.info("taking workitems from %s at %s", self.queue, self.broker.address)
        self.connected()
        while not self._renew:
            self._send(connection, channel)
            self._settle(connection, channel)
            # Here, for between two workitems there is always a moment when none is held.
            self.tick()
            if self._deadline is not None:
                if consumer:
                    channel.basic_cancel(consumer)
                    consumer = ""
                    self._hand_back(channel, begun=False)
                if not self._pending():
                    return
                if self._late():
                    self._hand_back(channel, begun=True)
                    return
            connection.process_data_events(time_limit=_TICK)

    def _delivered(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        if self._deadline is not None:
            channel.basic_nack(method.delivery_tag, requeue=True)
            return
        try:
            workitem = self._parsed(body)
        except ValueError as error:
            self.log.error("message of %d bytes refused: %s", len(body), error)
            self._guarded(self.refused, body, str(error))
            channel.basic_ack(method.delivery_tag)
            return
        if workitem.is_cancel:
            self._guarded(self.cancel, workitem)
            channel.basic_ack(method.delivery_tag)
            return
        key = key_of(workitem, body)
        for work in self._works:
            if work.key == key and work.tag is None:
                self.log.info("redelivery of %s, which is being worked on", workitem.sid)
                work.tag = method.delivery_tag
                return
        work = Work(key, body, workitem, method.delivery_tag)
        if method.redelivered and key in self._answered:
            self.log.info("redelivery of %s, which was done: answered again", workitem.sid)
            work.started = work.finished = True
            work.reply = self._answered[key]
        with self._wake_worker:
            self._works.append(work)
            self._wake_worker.notify()

    def _parsed(self, body: bytes) -> Workitem:
        if len(body) > self.message_limit:
            raise ValueError(f"it is longer than {self.message_limit} bytes")
        workitem = Workitem(body)
        if not workitem.is_cancel and not isinstance(workitem.to_h().get("fields"), dict):
            raise ValueError("it is no workitem: it has no fields")
        return workitem

    def _send(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        while self._outgoing:
            # Removed when it is confirmed, so that it is sent again when the connection breaks.
            outgoing = self._outgoing[0]
            self._publish(connection, channel, outgoing.body)
            self._outgoing.popleft()
            outgoing.sent.set()

    def _settle(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        for work in [work for work in self._works if work.finished]:
            if work.reply is not None:
                self._publish(connection, channel, work.reply)
            with self._wake_worker:
                self._works.remove(work)
            self._answered[work.key] = work.reply
            while len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
            if work.tag is not None:
                channel.basic_ack(work.tag)

    def _publish(self, connection: BlockingConnection, channel: BlockingChannel, body: bytes) -> None:
        try:
            publish(connection, channel, ENGINE_QUEUE, body)
        except BrokerError as error:
            # Nobody may be there yet to declare the engine's queue. What cannot be sent is kept, not thrown away.
            raise pika.exceptions.AMQPError(str(error)) from error

    def _hand_back(self, channel: BlockingChannel, *, begun: bool) -> None:
        with self._wake_worker:
            works = [work for work in self._works if begun or not work.started]
            self._works = [work for work in self._works if work not in works]
        for work in works:
            if work.tag is not None:
                channel.basic_nack(work.tag, requeue=True)
                self.log.warning("workitem %s handed back to the queue", work.workitem.sid)

    def _forget_deliveries(self) -> None:
        """The broker delivers again what was not acknowledged; what was not begun may go to others."""
        with self._wake_worker:
            self._works = [work for work in self._works if work.started]
            for work in self._works:
                work.tag = None

    def _pending(self) -> bool:
        return bool(self._works or self._outgoing)

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.tick()
            if self._renew or (self._deadline is not None and (not self._pending() or self._late())):
                return
            time.sleep(min(_TICK, left))

    def _unsent(self, reason: str) -> None:
        while self._outgoing:
            outgoing = self._outgoing.popleft()
            outgoing.error = RuntimeError(reason)
            outgoing.sent.set()

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            try:
                connection.add_callback_threadsafe(_nothing)
            except LOST:
                # The next connection finds what there is to do.
                return

    # --- the working thread

    def _work(self) -> None:
        while True:
            with self._wake_worker:
                while not (waiting := [work for work in self._works if not work.started]):
                    if not self._running:
                        return
                    self._wake_worker.wait()
                work = waiting[0]
                work.started = True
            self.workitem = work.workitem
            work.reply = self._worked(work)
            self.workitem = None
            work.finished = True
            self._wake()

    def _worked(self, work: Work) -> bytes | None:
        item = work.workitem
        try:
            self.consume()
        except BaseException as error:
            # SystemExit too: one workitem must not end the participant.
            self._guarded(self.failed, error)
            item.error = error
        try:
            return None if item.forget else self._bounded(item.encode())
        except (TypeError, ValueError) as error:
            self.log.error("the reply for %s cannot be sent: %s", item.sid, error)
            original = Workitem(work.body)
            original.error = RuntimeError(f"the reply cannot be sent: {error}")
            return original.encode()

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self.message_limit:
            raise ValueError(f"it would be {len(body)} bytes, more than {self.message_limit}")
        return body

    def _guarded(self, hook: Any, *arguments: Any) -> None:
        try:
            hook(*arguments)
        except Exception:
            self.log.exception("error in %s", hook.__name__)


def _nothing() -> None:
    """Wakes the connection's thread."""
