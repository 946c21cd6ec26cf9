# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves RuoteAMQP/participant.py and connection.py, with a broker."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from RuoteAMQP.connection import Broker, BrokerError
from RuoteAMQP.participant import Participant
from RuoteAMQP.workitem import Workitem
from tests.support.engine import Engine
from tests.support.rabbitmq import Node, free_port

pytestmark = pytest.mark.real


class Worker(Participant):
    """Does what `task` says and keeps what it heard."""

    def __init__(self, queue: str, broker: Broker, task: Callable[["Worker"], object], **more: Any) -> None:
        super().__init__(queue, broker=broker, **more)
        self.task = task
        self.cancelled: list[Workitem] = []
        self.junk: list[tuple[bytes, str]] = []
        self.worked: list[str] = []
        self.is_connected = threading.Event()
        self.failure: BaseException | None = None

    def consume(self) -> None:
        assert self.workitem is not None
        self.worked.append(self.workitem.wfid)
        self.task(self)

    def cancel(self, workitem: Workitem) -> None:
        self.cancelled.append(workitem)

    def refused(self, body: bytes, reason: str) -> None:
        self.junk.append((body, reason))

    def connected(self) -> None:
        self.is_connected.set()

    def disconnected(self, reason: str, pause: float) -> None:
        self.is_connected.clear()


def reach(node: Node, **more: Any) -> Broker:
    return Broker.at(node.address, user="guest", password="guest", vhost="/", **more)


@contextmanager
def at_work(
    node: Node, queue: str, task: Callable[[Worker], object] = lambda _: None, heartbeat: int = 30, **more: Any
) -> Iterator[Worker]:
    worker = Worker(queue, reach(node, heartbeat=heartbeat), task, **more)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    assert worker.is_connected.wait(15)
    try:
        yield worker
    finally:
        worker.finish(grace=5)
        thread.join(15)
        assert not thread.is_alive()


def until(what: Callable[[], object], within: float = 60) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_delivery_is_worked_on_and_answered_with_everything_that_it_had(
    broker: Node, engine: Engine, queue: str
) -> None:
    def task(worker: Worker) -> None:
        assert worker.workitem is not None
        worker.workitem.fields.image.image_id = "x-1"
        worker.workitem.result = True

    with at_work(broker, queue, task):
        step = engine.dispatch(queue, {"image": {"name": "n"}, "unknown": [10**40, "\u2028é", None]}, status="DONE")
        reply = engine.answer(step)
    assert reply["fields"]["image"] == {"name": "n", "image_id": "x-1"}
    assert reply["fields"]["unknown"] == [10**40, "\u2028é", None]
    assert reply["fields"]["params"] == {"ref": queue, "status": "DONE"}
    assert reply["fields"]["__result__"] is True
    assert reply["wf_name"] == "first"
    assert "error" not in reply
    assert engine.properties[-1].delivery_mode == 2
    assert broker.ready(queue) == 0


@pytest.mark.parametrize("raised", [ValueError("no such thing"), SystemExit(3)])
def test_an_exception_becomes_an_error_that_the_engine_survives_and_the_next_step_is_worked_on(
    broker: Node, engine: Engine, queue: str, raised: BaseException
) -> None:
    def task(worker: Worker) -> None:
        if worker.workitem is not None and worker.workitem.params.fail:
            raise raised

    with at_work(broker, queue, task):
        failed, good = engine.dispatch(queue, fail=True), engine.dispatch(queue)
        error = engine.answer(failed)["error"]
        assert "error" not in engine.answer(good)
    assert error["class"] == "RuntimeError"
    assert error["message"] == f"{type(raised).__name__}: {raised}"
    assert "test_participant.py" in error["trace"][0]
    assert error["trace"][0].endswith(": in `task'")


def test_a_reply_goes_out_when_the_work_ends_not_at_the_next_look(broker: Node, engine: Engine, queue: str) -> None:
    with at_work(broker, queue):
        took = []
        for _ in range(9):
            began = time.monotonic()
            engine.answer(engine.dispatch(queue))
            took.append(time.monotonic() - began)
    # The fastest half: the machine may be busy with something else.
    assert sorted(took)[4] < 0.2


def test_an_error_in_the_old_shape_is_sent_in_the_one_that_does_not_hang(
    broker: Node, engine: Engine, queue: str
) -> None:
    def task(worker: Worker) -> None:
        assert worker.workitem is not None
        worker.workitem.to_h()["error"] = {"class": "Ruote::Amqp::RemoteError", "message": "m"}

    with at_work(broker, queue, task):
        error = engine.answer(engine.dispatch(queue))["error"]
    assert error == {"class": "RuntimeError", "message": "m", "trace": []}


def test_what_cannot_travel_as_json_becomes_an_error_reply(broker: Node, engine: Engine, queue: str) -> None:
    def task(worker: Worker) -> None:
        assert worker.workitem is not None
        worker.workitem.fields.odd = float("nan") if worker.workitem.params.nan else "x" * 5000

    with at_work(broker, queue, task, message_limit=4000):
        nan = engine.answer(engine.dispatch(queue, nan=True))
        long = engine.answer(engine.dispatch(queue))
    assert "cannot be sent" in nan["error"]["message"]
    assert "more than 4000" in long["error"]["message"]
    assert "odd" not in long["fields"]


def test_a_step_that_is_forgotten_gets_no_reply(broker: Node, engine: Engine, queue: str) -> None:
    with at_work(broker, queue) as worker:
        forgotten, other = engine.dispatch(queue, forget=True), engine.dispatch(queue)
        engine.answer(other)
        assert worker.worked == [forgotten, other]
    with pytest.raises(TimeoutError):
        engine.answer(forgotten, within=0.3)
    assert broker.ready(queue) == 0


def test_a_handler_may_answer_later_from_any_thread(broker: Node, engine: Engine, queue: str) -> None:
    later: list[Workitem] = []

    def task(worker: Worker) -> None:
        assert worker.workitem is not None
        later.append(worker.workitem.dup())
        worker.workitem.forget = True

    with at_work(broker, queue, task) as worker:
        step = engine.dispatch(queue)
        until(lambda: later and not worker.busy)
        later[0].result = "later"
        worker.reply_to_engine(later[0])
        assert engine.answer(step)["fields"]["__result__"] == "later"


@pytest.mark.parametrize("flavour", [None, "kill", "timeout"])
def test_a_cancel_is_heard_and_never_answered(broker: Node, engine: Engine, queue: str, flavour: str | None) -> None:
    with at_work(broker, queue) as worker:
        engine.cancel(queue, flavour)
        engine.answer(engine.dispatch(queue))
        assert [item.to_h()["flavour"] for item in worker.cancelled] == [flavour]
        assert len(worker.worked) == 1
    assert (engine.dropped, engine.ignored) == ([], [])
    assert broker.ready(queue) == 0


JUNK = [
    b"",
    b"\xff\xfe\xfd",
    b"{",
    b"[]",
    b"null",
    b'"fields"',
    b"{}",
    b'{"fields": 1, "fei": {}}',
    b'{"fields": {"x": NaN}}',
    b"[" * 200_000,
    b'{"definition": ["define", {}, []], "variables": null}',
    b'{"fields": {"long": "' + b"x" * 100_000 + b'"}}',
]


def test_junk_is_logged_handed_over_and_gone(
    broker: Node, engine: Engine, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), at_work(broker, queue, message_limit=90_000) as worker:
        for body in JUNK:
            engine.send(queue, body)
        engine.answer(engine.dispatch(queue))
        assert [body for body, _ in worker.junk] == JUNK
        assert all(reason for _, reason in worker.junk)
        assert len(worker.worked) == 1
    assert broker.ready(queue) == 0
    assert engine.dropped == []
    assert sum("refused" in record.message for record in caplog.records) == len(JUNK)


def test_a_hook_that_fails_does_not_end_the_participant(broker: Node, engine: Engine, queue: str) -> None:
    class Failing(Worker):
        def refused(self, body: bytes, reason: str) -> None:
            raise OSError("disk full")

        def cancel(self, workitem: Workitem) -> None:
            raise KeyError("x")

    worker = Failing(queue, reach(broker), lambda _: None)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    engine.send(queue, b"junk")
    engine.cancel(queue)
    engine.answer(engine.dispatch(queue))
    worker.finish()
    thread.join(10)
    assert broker.ready(queue) == 0


def test_work_that_lasts_longer_than_the_heartbeat_keeps_its_connection(
    broker: Node, engine: Engine, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    with at_work(broker, queue, lambda _: time.sleep(5), heartbeat=1) as worker:
        step = engine.dispatch(queue)
        engine.answer(step)
        assert worker.worked == [step]
    assert engine.ignored == []
    assert not [record for record in caplog.records if "no connection" in record.message]


def test_a_broker_restart_in_the_middle_of_the_work_leaves_one_run_and_one_answer(
    broker: Node, engine: Engine, queue: str
) -> None:
    go_on = threading.Event()
    with at_work(broker, queue, lambda _: go_on.wait(60)) as worker:
        kept = engine.dispatch(queue, persistent=True)
        until(lambda: worker.worked)
        broker.stop()
        until(lambda: not worker.is_connected.is_set())
        broker.start()
        until(worker.is_connected.is_set, 30)
        go_on.set()
        engine.answer(kept)
        after = engine.dispatch(queue)
        engine.answer(after)
        until(lambda: not worker.busy)
        assert worker.worked == [kept, after]
    assert engine.ignored == []
    assert broker.ready(queue) == 0


def test_work_that_ends_while_the_broker_is_away_is_answered_when_it_is_back(
    broker: Node, engine: Engine, queue: str
) -> None:
    go_on = threading.Event()
    with at_work(broker, queue, lambda _: go_on.wait(60)) as worker:
        lost = engine.dispatch(queue)
        until(lambda: worker.worked)
        broker.kill()
        go_on.set()
        broker.start()
        engine.answer(lost, within=30)
        until(lambda: not worker.busy)
        assert worker.worked == [lost]
    assert broker.ready(queue) == 0


def test_a_redelivery_of_what_was_done_is_answered_again_without_work(
    broker: Node, engine: Engine, queue: str
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, lambda _: gate.wait(20)) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
        # The broker closes our connection while the work goes on; the reply goes out before the redelivery comes.
        broker.control("close_all_connections", "test")
        gate.set()
        engine.answer(step)
        until(lambda: not worker.busy and worker.is_connected.is_set() and broker.ready(queue) == 0)
        engine.answer(engine.dispatch(queue))
        assert worker.worked.count(step) == 1
        assert len(worker.worked) == 2


def test_finish_gives_back_what_does_not_end_in_time(broker: Node, engine: Engine, queue: str) -> None:
    gate = threading.Event()
    worker = Worker(queue, reach(broker), lambda _: gate.wait(30))
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    engine.dispatch(queue)
    engine.dispatch(queue)
    until(lambda: worker.worked)
    worker.finish(grace=0.5)
    thread.join(5)
    assert not thread.is_alive()
    assert broker.ready(queue) == 2
    gate.set()


def test_a_queue_with_other_properties_is_a_sentence(broker: Node, queue: str) -> None:
    connection = broker.connect()
    connection.channel().queue_declare(queue, durable=True, arguments={"x-max-priority": 5})
    connection.close()
    with pytest.raises(BrokerError, match=f"queue {queue} exists with other properties"):
        Worker(queue, reach(broker), lambda _: None).run()


def test_no_password_is_told(caplog: pytest.LogCaptureFixture, broker: Node, queue: str) -> None:
    reasons: list[str] = []

    class Heard(Worker):
        def disconnected(self, reason: str, pause: float) -> None:
            reasons.append(reason)
            self.finish(0)

    wrong = Broker.at(broker.address, user="guest", password="s3cret-word", vhost="/")
    Heard(queue, wrong, lambda _: None).run()
    nobody = Broker.at(f"127.0.0.1:{free_port()}", password="s3cret-word")
    Heard(queue, nobody, lambda _: None).run()
    assert "wrong user or password" in reasons[0]
    assert "refused" in reasons[1]
    assert "s3cret-word" not in caplog.text + repr(wrong) + "".join(reasons)


@pytest.mark.parametrize("address", ["", "host:", "host:x", "host:70000", ":5", "[::1", "[::1]5"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Broker.at(address)


def test_addresses_are_read() -> None:
    assert (Broker.at("h").host, Broker.at("h").port) == ("h", None)
    assert (Broker.at("h:1").host, Broker.at("h:1").port) == ("h", 1)
    assert (Broker.at("[::1]:1").host, Broker.at("[::1]:1").port) == ("::1", 1)
    assert json.dumps(Broker.at("h").address) == '"h:5672/boss"'


def test_tls_is_verified_in_both_directions(broker: Node, engine: Engine, queue: str) -> None:
    place = broker.place
    files = {"ca": place / "ca.pem", "certificate": place / "client.pem", "key": place / "client.key"}

    def attempt(host: str = "127.0.0.1", **which: Any) -> tuple[Worker, list[str]]:
        reasons: list[str] = []

        class Heard(Worker):
            def connected(self) -> None:
                self.finish(0)

            def disconnected(self, reason: str, pause: float) -> None:
                reasons.append(reason)
                self.finish(0)

        login = {"user": "guest", "password": "guest", "vhost": "/"}
        worker = Heard(queue, Broker.at(f"{host}:{broker.tls_port}", **login, **which), lambda _: None)
        worker.run()
        return worker, reasons

    assert attempt(**files)[1] == []
    assert "certificate verify failed" in attempt(tls=True)[1][0]
    assert "certificate verify failed" in attempt(host="localhost", **files)[1][0]
    assert attempt(ca=files["ca"])[1] != []
    with pytest.raises(BrokerError, match=r"TLS cannot be used with /nothing\.pem"):
        attempt(ca="/nothing.pem")


def test_a_user_who_may_only_read_its_queue_and_write_to_the_engine_suffices(
    broker: Node, engine: Engine, queue: str
) -> None:
    rights = f'<<"^$">>, <<"^amq.default$">>, <<"^{queue}$">>, <<"test">>'
    broker.control(
        "eval",
        'rabbit_auth_backend_internal:add_user(<<"small">>, <<"small">>, <<"test">>), '
        f'rabbit_auth_backend_internal:set_permissions(<<"small">>, <<"/">>, {rights}).',
    )
    small = Broker.at(broker.address, user="small", password="small", vhost="/")
    with pytest.raises(BrokerError, match=f"queue {queue} is not there and may not be declared"):
        Worker(queue, small, lambda _: None).run()
    step = engine.dispatch(queue)
    worker = Worker(queue, small, lambda _: None)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    engine.answer(step)
    worker.finish()
    thread.join(10)
    assert worker.worked == [step]


def test_a_broker_that_is_out_of_disk_delays_a_reply_and_loses_none(broker: Node, engine: Engine, queue: str) -> None:
    go_on = threading.Event()
    with at_work(broker, queue, lambda _: go_on.wait(30), heartbeat=1) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
        broker.control("eval", "rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []}).")
        try:
            go_on.set()
            with pytest.raises(TimeoutError):
                engine.answer(step, within=3)
        finally:
            broker.control("eval", "rabbit_alarm:clear_alarm({resource_limit, disk, node()}).")
        engine.answer(step, within=20)
        assert worker.worked == [step]
    assert engine.ignored == []
