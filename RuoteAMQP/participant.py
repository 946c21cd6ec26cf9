# SPDX-License-Identifier: GPL-2.0-or-later
"""A participant: takes workitems from its queue, works, answers the engine.

What always holds:

- The connection belongs to the thread that calls `run`; work is done by other threads, at most `slots` at a time, so
  that heartbeats never wait for it.
- With a journal on disk a delivery is acknowledged as soon as it is there; without one, when the broker has confirmed
  the reply. Either way nothing is lost, and a redelivery is recognised by its step: what is being worked on is not
  begun again, what was answered is answered again.
- With `once`, a step that two participants were given (as happens when a connection breaks) is worked on by one of
  them: the broker is asked who came first. And nothing is taken while no slot is free.
- What is sent is persistent, in the order in which it was given, and sent again until the broker has confirmed it.
- A body that is no workitem goes to `refused`, a cancel message to `cancel`; both are then acknowledged, neither is
  answered. Nothing that arrives ends the process.
- An exception of `consume` becomes an error reply, in a shape that the engine survives.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from RuoteAMQP import marks, wire
from RuoteAMQP.connection import ENGINE_QUEUE, LOST, Broker, BrokerError, close, declare, pauses, publish
from RuoteAMQP.control import Listener
from RuoteAMQP.journal import Letter, Memory
from RuoteAMQP.launcher import Launcher
from RuoteAMQP.outbox import Outbox
from RuoteAMQP.workitem import Workitem

__all__ = ["Participant", "Work"]

# Seconds between two looks at what signals and other threads asked for.
_TICK = 0.25
# A connection that lasted so many seconds was a good one: the pauses begin with the shortest again.
_WORKED = 5.0
# Seconds that a delivery may wait here for a slot before it goes back to the queue, for others.
_PATIENCE = 1.0
# Seconds between two prunings of the journal.
_PRUNE = 3600.0
# Seconds between two questions whether there is room for more work.
_ASK = 1.0


@dataclass(eq=False)
class Work:
    """A delivery on its way. `tag` is None when it is acknowledged, or the connection that brought it is gone."""

    step: str
    body: bytes
    workitem: Workitem
    tag: int | None = None
    started: bool = False
    finished: bool = False
    reply: bytes | None = None
    #: The connection that claimed it and was the first to bring it: while that stands, nobody else was given it.
    claimed_by: BlockingConnection | None = None
    #: What it is claimed by.
    claim: str = ""
    #: When it was accepted: seconds since 1970.
    since: float = field(default_factory=time.time)


@dataclass(frozen=True)
class _Delivery:
    tag: int
    body: bytes
    arrived: float
    #: Whether it may have been given to somebody before, who may have it still.
    again: bool = False


@dataclass(eq=False)
class _Question:
    ask: Callable[[BlockingConnection], Any]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: BaseException | None = None


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
        journal: Memory | None = None,
        slots: int = 1,
        once: bool = False,
        arguments: Mapping[str, Any] | None = None,
        control: bool = False,
    ) -> None:
        self.queue = ruote_queue
        self.broker = broker or Broker.at(amqp_host, user=amqp_user, password=amqp_pass, vhost=amqp_vhost)
        self.message_limit = message_limit
        self.log: Any = logging.getLogger(__name__)
        self.slots = slots
        self.once = once
        #: Whether work goes on, or is begun anew, without this process: then its end does not wait for it.
        self.leaves_work = False
        #: Of the queue's declaration; the engine's queues have none.
        self.arguments = arguments
        #: Why nothing is taken from the queue ("paused", "draining"); "" means that it is.
        self.held_back = ""
        self._journal = journal or Memory()
        self._control = Listener(self._controlled) if control else None
        self._local = threading.local()
        self._works: dict[str, Work] = {}
        self._offered: dict[str, bytes] = {}
        self._arrived: deque[_Delivery] = deque()
        self._outbox = Outbox(self._journal, self._wake)
        self._questions: deque[_Question] = deque()
        # Guards the works.
        self._change = threading.Condition()
        self._idle = 0
        self._running = self._ended = self._served = False
        self._thread = 0
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._consumer = ""
        self._asked, self._why = 0.0, ""
        self._pruned = time.monotonic()
        # Plain values, for a signal handler may set them at any moment.
        self._deadline: float | None = None
        self._renew = False

    # --- for subclasses

    def consume(self) -> None:
        """Do the work for `self.workitem`; what is changed in it is the reply. Runs in a working thread."""

    def may_take(self) -> str:
        """Whether there is room for more work beside the free slots: "", or the sentence why not. Must be quick."""
        return ""

    def failed(self, error: BaseException) -> None:
        """Hear that `consume` ended with an exception, which the engine is told. Logs it."""
        self.log.error("error while working on %s", self.workitem and self.workitem.sid, exc_info=error)

    def cancel(self, workitem: Workitem) -> None:
        """Hear that the engine cancelled a step (often which one is not to be read). Must be quick."""
        self.log.warning("cancel message for %s ignored", workitem.wfid or "an unknown process")

    def refused(self, body: bytes, reason: str) -> None:
        """Hear of a message that is no workitem; the journal has it."""

    def controlled(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Hear a message of the control exchange; what is returned answers it. Must be quick."""
        return None

    def connected(self) -> None:
        """Hear that workitems are taken now."""

    def disconnected(self, reason: str, pause: float) -> None:
        """Hear that the broker is away and that the next attempt is `pause` seconds off."""

    def tick(self) -> None:
        """Called a few times a second by the thread of `run`, whether there is a connection or not."""

    # --- for everybody

    @property
    def workitem(self) -> Workitem | None:
        """What the calling thread works on."""
        return getattr(self._local, "workitem", None)

    def run(self) -> None:
        """Take workitems until `finish`. Raises BrokerError when the queue cannot be used as it is."""
        if self._running:
            raise RuntimeError("the participant runs already")
        self._running, self._thread = True, threading.get_ident()
        try:
            self._resume()
            self._run()
        finally:
            self._running, self._ended = False, True
            self._abandon(RuntimeError("the participant has ended"))
            with self._change:
                self._change.notify_all()

    def finish(self, grace: float = 30.0) -> None:
        """End `run`: nothing more is taken, what is held is finished; after `grace` seconds it is left.

        What is left goes back to the queue, or stands in the journal for the next start. May be called by any
        thread and by a signal handler.
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

    def held(self) -> list[Work]:
        """What is being worked on."""
        with self._change:
            return [work for work in self._works.values() if not work.finished]

    @property
    def unsent(self) -> int:
        """How many messages wait to be sent."""
        return len(self._outbox)

    @property
    def full(self) -> str:
        """Why nothing is taken now; "" when it is."""
        if self.held_back or self._deadline is not None:
            return self.held_back or "ending"
        return "all slots are in use" if not self._free() else self._why

    def reconnect(self) -> None:
        """Connect anew, to what `broker` and `queue` are now."""
        self._renew = True

    def post(self, queue: str, message: Workitem | Mapping[str, Any], *, lossy: bool = False) -> None:
        """Send a message to a queue, in the order of the calls, sooner or later: a journal has it on return.

        `lossy`: only if it can be sent at once, and gone where nobody takes it soon. Raises ValueError for what JSON
        cannot hold or is too long, OSError for a journal that cannot be written, RuntimeError after the end: what is
        said then, perhaps because of the end, is said anew at the next start.
        """
        if self._ended:
            raise RuntimeError("the participant has ended")
        body = self._bounded(message.encode() if isinstance(message, Workitem) else wire.encode(message))
        (self._outbox.lossy if lossy else self._outbox.post)(queue, body)

    def reply_to_engine(self, workitem: Workitem | None = None) -> None:
        """Send a workitem to the engine; returns when the broker confirmed it, however long that takes.

        What `consume` was given is sent by itself when it returns. Raises RuntimeError when the participant does
        not run or ends before.
        """
        item = workitem if workitem is not None else self.workitem
        if item is None:
            raise RuntimeError("there is no workitem to reply with")
        body = self._bounded(item.encode())
        if not self._running:
            raise RuntimeError("the participant does not run, so nothing can be sent")
        letter = self._outbox.post(ENGINE_QUEUE, body)
        if threading.get_ident() == self._thread:
            if self._connection and self._channel:
                self._outbox.send(self._connection, self._channel, self._sent)
            return
        self._await(letter.sent)
        if letter.error:
            raise RuntimeError(str(letter.error)) from letter.error

    def ask_broker(self, ask: Callable[[BlockingConnection], Any]) -> Any:
        """Have the connection's thread call `ask` with its connection; waits for one.

        Raises what `ask` raises, and RuntimeError when the participant ends before.
        """
        if self._connection and threading.get_ident() == self._thread:
            return ask(self._connection)
        question = _Question(ask)
        self._questions.append(question)
        self._wake()
        self._await(question.done)
        if question.error:
            raise question.error
        return question.answer

    def register(self, name: str | None = None, queue: str | None = None) -> None:
        """Register with the engine: steps of that name (or regular expression) come to the queue."""
        Launcher(broker=self.broker).register(name or self.queue, queue or self.queue)

    def unregister(self, name: str | None = None, queue: str | None = None) -> None:
        """Take the registration back."""
        Launcher(broker=self.broker).unregister(name or self.queue, queue or self.queue)

    # --- the connection's thread

    def _resume(self) -> None:
        """Go on with what the journal has."""
        self._outbox.resume()
        for entry in self._journal.entries():
            if entry.offered:
                self._offered[entry.step] = entry.body
            else:
                self.log.info("going on with %s, which was accepted before", entry.step)
                self._begin(Work(entry.step, entry.body, Workitem(entry.body)))

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
                    self._outbox.detach()
                    self._forget_deliveries()
                    close(connection)
            except LOST as error:
                reason = self.broker.reason(error)
            except BrokerError as error:
                # Once it worked: whatever was changed meanwhile, files of TLS or the queue, can be changed again.
                if not self._served:
                    raise
                reason = str(error)
            pause = next(attempts)
            self.log.warning("no connection to the broker, next attempt in %.1f s: %s", pause, reason)
            self.disconnected(reason, pause)
            self._wait(pause)

    def _serve(self, connection: BlockingConnection) -> None:
        self._outbox.attach(connection)
        declare(connection, self.queue, self.arguments)
        channel = connection.channel()
        channel.confirm_delivery()
        # Whoever deletes the queue takes the consumer with it; connecting anew declares both.
        channel.add_on_cancel_callback(lambda _: self.reconnect())
        channel.basic_qos(prefetch_count=1 if self.once else self.slots)
        if self._control:
            self._control.attach(connection, self.log, self.reconnect)
        self._connection, self._channel, self._served = connection, channel, True
        self._claim_offered(connection)
        self._open_or_shut(channel)
        self.log.info("taking workitems from %s at %s", self.queue, self.broker.address)
        self.connected()
        while not self._renew:
            self._answer_questions(connection)
            self._outbox.send(connection, channel, self._sent)
            self._settle(channel)
            self._take(connection, channel)
            self._prune()
            # Here, for between two workitems there is always a moment when none is held.
            self.tick()
            self._open_or_shut(channel)
            if self._deadline is not None and (not self._pending() or self._late()):
                self._hand_back(connection, channel)
                return
            connection.process_data_events(time_limit=_TICK if not self._arrived else _TICK / 10)

    def _prune(self) -> None:
        if time.monotonic() - self._pruned > _PRUNE:
            self._pruned = time.monotonic()
            self._guarded(self._journal.prune)

    def _free(self) -> int:
        return self.slots - len([work for work in self._works.values() if not work.finished])

    def _open_or_shut(self, channel: BlockingChannel) -> None:
        """Take from the queue, or leave it to others."""
        # Without a journal on disk, what the broker delivers again must reach us while we work on it.
        wanted = self._deadline is None and not self.held_back and (self._room() or not self._journal.durable)
        if wanted and not self._consumer:
            self._consumer = channel.basic_consume(self.queue, self._delivered)
        elif self._consumer and not wanted and (self.once or self._deadline is not None or self._waited()):
            self._shut(channel)

    def _refrains(self) -> bool:
        """Whether nothing may be accepted, though it has arrived already."""
        return bool(self.held_back or self._why) or self._deadline is not None or not self._free()

    def _room(self) -> bool:
        if not self._free():
            return False
        now = time.monotonic()
        if now - self._asked >= _ASK:
            self._asked, before = now, self._why
            try:
                self._why = self.may_take()
            except Exception as error:
                self._why = f"it cannot be told whether there is room: {error}"
            if self._why and _wordless(self._why) != _wordless(before):
                self.log.warning("taking nothing for now: %s", self._why)
        return not self._why

    def _waited(self) -> bool:
        return bool(self.held_back) or (
            bool(self._arrived) and time.monotonic() - self._arrived[0].arrived > _PATIENCE
        )

    def _stop_consuming(self, channel: BlockingChannel) -> None:
        if self._consumer:
            channel.basic_cancel(self._consumer)
            self._consumer = ""

    def _shut(self, channel: BlockingChannel) -> None:
        self._stop_consuming(channel)
        while self._arrived:
            channel.basic_nack(self._arrived.popleft().tag, requeue=True)

    def _delivered(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self._arrived.append(_Delivery(method.delivery_tag, body, time.monotonic(), bool(method.redelivered)))

    def _take(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        while self._arrived:
            delivery = self._arrived[0]
            try:
                workitem = self._parsed(delivery.body)
            except ValueError as error:
                if not self._refuse(delivery.body, str(error)):
                    return
                workitem = None
            if workitem is None:
                channel.basic_ack(delivery.tag)
            elif workitem.is_cancel:
                self._guarded(self.cancel, workitem)
                channel.basic_ack(delivery.tag)
            elif not (
                self._known(channel, delivery, workitem)
                or (not self._refrains() and self._accept(connection, channel, delivery, workitem))
            ):
                return
            self._arrived.popleft()

    def _known(self, channel: BlockingChannel, delivery: _Delivery, workitem: Workitem) -> bool:
        """Whether the delivery is one that we had already; then all is done for it."""
        step = workitem.step
        work = self._works.get(step)
        if work or self._outbox.answers(step):
            self.log.info("redelivery of %s, which is being worked on", step)
            if work and not self._journal.durable:
                work.tag = delivery.tag
                return True
        else:
            answer = self._journal.answered(step) if step else None
            if answer is None or _sent_anew(workitem, answer.body):
                return False
            self.log.info("redelivery of %s, which was done%s", step, ": answered again" if answer.body else "")
            if answer.body is not None:
                self._guarded(self._outbox.post, ENGINE_QUEUE, answer.body)
        channel.basic_ack(delivery.tag)
        return True

    def _accept(
        self, connection: BlockingConnection, channel: BlockingChannel, delivery: _Delivery, workitem: Workitem
    ) -> bool:
        """Promise to do it; whether that was possible."""
        # Without a step there is nothing to recognise it by.
        step = workitem.step or f"none-{secrets.token_hex(16)}"
        durable = self._journal.durable
        try:
            self._journal.accept(step, delivery.body, offered=self.once)
        except OSError as error:
            return self._unwritten(error)
        if self.once and durable:
            self._offered[step] = delivery.body
            if self._free() <= 1:
                self._stop_consuming(channel)
            self._claim_offered(connection, fresh=not delivery.again)
        else:
            self._begin(Work(step, delivery.body, workitem, None if durable else delivery.tag))
        if durable:
            channel.basic_ack(delivery.tag)
        return True

    def _claim_offered(self, connection: BlockingConnection, *, fresh: bool = False) -> None:
        """Begin what nobody else has begun; `fresh`: this connection brought it, and none did before."""
        for step, body in list(self._offered.items()):
            workitem = Workitem(body)
            claim = _claim(step, workitem)
            taken = marks.take(connection, claim, self._journal.owner)
            if taken is None:
                self.log.warning("no right to declare skynet.taken.*: a step could be worked on twice")
            del self._offered[step]
            if taken is False:
                self.log.info("%s is worked on elsewhere", step)
                self._guarded(self._journal.forget, step)
            else:
                self._guarded(self._journal.own, step)
                # Who wants no answer may send the same step again, and not only the broker.
                own = fresh and taken and not workitem.forget
                self._begin(Work(step, body, workitem, claimed_by=connection if own else None, claim=claim))

    def _begin(self, work: Work) -> None:
        with self._change:
            self._works[work.step] = work
            if self._idle:
                self._idle -= 1
                self._change.notify()
            else:
                threading.Thread(target=self._work, name=f"work of {self.queue}", daemon=True).start()

    def _unwritten(self, error: OSError) -> bool:
        """The journal cannot be written: what has arrived goes back to the queue if that does not change soon."""
        self._asked, self._why = time.monotonic(), f"the journal cannot be written: {error}"
        self.log.error("taking nothing for now: %s", self._why)
        return False

    def _refuse(self, body: bytes, reason: str) -> bool:
        """Set a message aside; whether that was possible."""
        self.log.error("message of %d bytes refused: %s", len(body), reason)
        try:
            self._journal.refuse(body, reason)
        except OSError as error:
            return self._unwritten(error)
        self._guarded(self.refused, body, reason)
        return True

    def _parsed(self, body: bytes) -> Workitem:
        if len(body) > self.message_limit:
            raise ValueError(f"it is longer than {self.message_limit} bytes")
        try:
            workitem = Workitem(body)
        except ValueError as error:
            raise ValueError(f"it is no workitem in JSON: {error}") from error
        if not workitem.is_cancel and not isinstance(workitem.to_h().get("fields"), dict):
            raise ValueError("it is no workitem: it has no fields")
        return workitem

    def _controlled(self, message: dict[str, Any]) -> bytes | None:
        try:
            answer = self.controlled(message)
            return None if answer is None else wire.encode(answer)
        except Exception:
            self.log.exception("error with a control message")
            return None

    def _answer_questions(self, connection: BlockingConnection) -> None:
        while self._questions:
            question = self._questions[0]
            try:
                question.answer = question.ask(connection)
            except LOST:
                if not connection.is_open:
                    raise
                self.log.exception("the broker refuses")
                question.error = RuntimeError("the broker refuses; the log says why")
            except Exception as error:
                question.error = error
            self._questions.popleft()
            question.done.set()

    def _sent(self, letter: Letter) -> None:
        self._guarded(self._journal.sent, letter)
        letter.sent.set()
        if letter.step in self._works and self._channel:
            self._over(self._channel, self._works[letter.step])

    def _settle(self, channel: BlockingChannel) -> None:
        for work in [work for work in self._works.values() if work.finished and work.reply is None]:
            self._guarded(self._journal.settled, work.step, None)
            self._over(channel, work)

    def _over(self, channel: BlockingChannel, work: Work) -> None:
        with self._change:
            del self._works[work.step]
        if work.tag is not None:
            channel.basic_ack(work.tag)
        if work.claimed_by is not None and work.claimed_by is self._connection:
            # By the channel of the acknowledgement, so after it: the delivery cannot come again.
            marks.release(channel, work.claim)

    def _hand_back(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        """Let others do what is not finished; what must not be begun twice is left for the next start."""
        self._shut(channel)
        for work in self.held():
            if work.tag is not None:
                channel.basic_nack(work.tag, requeue=True)
            elif self._journal.durable and not self.once and not self._outbox.blocked:
                publish(connection, channel, self.queue, work.body)
                self._journal.forget(work.step)
            else:
                self.log.warning("workitem %s is left for the next start", work.workitem.sid)
                continue
            self.log.warning("workitem %s handed back to the queue", work.workitem.sid)
        with self._change:
            self._works = {}

    def _forget_deliveries(self) -> None:
        """The broker delivers again what was not acknowledged; what was not begun may go to others."""
        self._consumer = ""
        self._arrived.clear()
        with self._change:
            for work in [work for work in self._works.values() if work.tag is not None]:
                work.tag = None
                if not work.started:
                    del self._works[work.step]

    def _pending(self) -> bool:
        return bool(self._outbox or (self._works and not (self.leaves_work and self._journal.durable)))

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.tick()
            if self._renew or (self._deadline is not None and (not self._pending() or self._late())):
                return
            time.sleep(min(_TICK, left))

    def _abandon(self, error: BaseException) -> None:
        self._outbox.abandon(error)
        while self._questions:
            question = self._questions.popleft()
            question.error = error
            question.done.set()

    # --- other threads

    def _await(self, event: threading.Event) -> None:
        while not event.wait(_TICK * 4):
            if not self._running:
                raise RuntimeError("the participant ended before the broker confirmed")

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None and threading.get_ident() != self._thread:
            try:
                connection.add_callback_threadsafe(_nothing)
            except LOST:
                # The next connection finds what there is to do.
                return

    def _work(self) -> None:
        while True:
            with self._change:
                while not (waiting := [work for work in self._works.values() if not work.started]):
                    if not self._running:
                        return
                    self._idle += 1
                    self._change.wait()
                work = waiting[0]
                work.started = True
            self._local.workitem = work.workitem
            reply = self._worked(work)
            self._local.workitem = None
            self._conclude(work, reply)

    def _conclude(self, work: Work, reply: bytes | None) -> None:
        if not self._running:
            # Broken off by the end, perhaps with an error that is no answer: the next start begins it again.
            return
        work.reply = reply
        work.finished = True
        if reply is not None:
            self._outbox.answer(work.step, ENGINE_QUEUE, reply)
        else:
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


def _sent_anew(workitem: Workitem, answer: bytes | None) -> bool:
    """Whether the engine applies an answered step again (as `on_error` with `redo` does), and no delivery came twice.

    Both have the same ids; only when they were sent differs.
    """
    before = Workitem(answer).dispatched_at if answer is not None else None
    return bool(before and workitem.dispatched_at and before != workitem.dispatched_at)


def _claim(step: str, workitem: Workitem) -> str:
    """What a step is claimed by: another one when the engine applies it again, as it may after an answer."""
    sent = workitem.dispatched_at
    return f"{step} {sent}" if isinstance(sent, str) and not workitem.forget else step


def _wordless(reason: str) -> str:
    """A reason without its numbers, which change all the time."""
    return "".join(char for char in reason if not char.isdigit() and char != ".")


def _nothing() -> None:
    """Wakes the connection's thread."""
