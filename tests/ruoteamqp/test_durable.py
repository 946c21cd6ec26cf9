# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves RuoteAMQP/participant.py with a journal on disk, marks.py and control.py, with a broker."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from RuoteAMQP import marks
from RuoteAMQP.connection import Broker, BrokerError
from RuoteAMQP.control import Control
from RuoteAMQP.journal import Journal
from RuoteAMQP.participant import Participant
from tests.support.engine import Engine
from tests.support.rabbitmq import Node

pytestmark = pytest.mark.real


class Worker(Participant):
    """Does what `task` says and keeps what it heard."""

    def __init__(self, node: Node, queue: str, place: Path, task: Callable[["Worker"], object], **more: Any) -> None:
        broker = Broker.at(node.address, user="guest", password="guest", vhost="/")
        self.place = Journal(place)
        super().__init__(queue, broker=broker, journal=self.place, **more)
        self.task = task
        self.worked: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.is_connected = threading.Event()
        self.why = ""

    def consume(self) -> None:
        assert self.workitem is not None
        self.worked.append(self.workitem.wfid)
        self.task(self)

    def may_take(self) -> str:
        return self.why

    def controlled(self, message: dict[str, Any]) -> dict[str, Any] | None:
        self.told.append(message)
        return {"worker": self.place.root.name}

    def connected(self) -> None:
        self.is_connected.set()


@contextmanager
def at_work(
    node: Node,
    queue: str,
    place: Path,
    task: Callable[[Worker], object] = lambda _: None,
    kind: type[Worker] = Worker,
    **more: Any,
) -> Iterator[Worker]:
    worker = kind(node, queue, place, task, **more)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    assert worker.is_connected.wait(60)
    try:
        yield worker
    finally:
        worker.finish(grace=2)
        thread.join(15)
        worker.place.close()
        assert not thread.is_alive()


def until(what: Callable[[], object], within: float = 60) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def unacknowledged(node: Node, queue: str) -> int:
    lines = node.control("list_queues", "--no-table-headers", "name", "messages_unacknowledged").splitlines()
    return next(int(line.split()[1]) for line in lines if line.split()[0] == queue)


def test_a_delivery_is_acknowledged_before_its_work_is_done(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "j", lambda _: gate.wait(60)) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
        until(lambda: unacknowledged(broker, queue) == 0)
        gate.set()
        engine.answer(step)
    (done,) = (tmp_path / "j" / "done").iterdir()
    assert json.loads(done.read_text())["fei"]["wfid"] == step


def test_what_a_process_had_accepted_the_next_one_does_and_nothing_is_answered_twice(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "j", lambda _: gate.wait(60), once=True) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
    with at_work(broker, queue, tmp_path / "j") as second:
        engine.answer(step)
        assert second.worked == [step]
        gate.set()
    assert engine.ignored == []


def test_what_the_end_breaks_off_is_no_answer_and_is_begun_again(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()

    def asks_when_nobody_answers_any_more(worker: Worker) -> None:
        gate.wait(60)
        worker.ask_broker(lambda _: None)

    with at_work(broker, queue, tmp_path / "j", asks_when_nobody_answers_any_more, once=True) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
    gate.set()
    with at_work(broker, queue, tmp_path / "j") as second:
        assert "error" not in engine.answer(step)
        assert second.worked == [step]
    assert engine.ignored == []


def test_a_redelivery_of_an_answered_step_is_answered_again_from_the_record(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    def task(worker: Worker) -> None:
        assert worker.workitem
        worker.workitem.fields.moment = time.time_ns()

    with at_work(broker, queue, tmp_path / "j", task):
        step = engine.dispatch(queue)
        first = engine.answer(step)
    body = next((tmp_path / "j" / "done").iterdir()).read_bytes()
    request = {**first, "fields": {"params": {}}}
    with at_work(broker, queue, tmp_path / "j", task) as second:
        engine.send(queue, json.dumps(request).encode())
        (again,) = engine.wait_for("ignored")
        assert second.worked == []
    assert again == first == json.loads(body)


def test_as_many_as_there_are_slots_work_at_once_and_the_rest_is_left_to_others(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "a", lambda _: gate.wait(60), slots=2, once=True) as first:
        steps = [engine.dispatch(queue) for _ in range(3)]
        until(lambda: len(first.worked) == 2)
        assert first.full == "all slots are in use"
        assert broker.ready(queue) == 1
        with at_work(broker, queue, tmp_path / "b", once=True) as second:
            engine.answer(steps[2])
            assert second.worked == [steps[2]]
            assert sorted(work.workitem.wfid for work in first.held()) == sorted(steps[:2])
            gate.set()
            for step in steps:
                engine.answer(step)


def test_what_waits_for_a_slot_goes_back_to_the_queue_soon(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "a", lambda _: gate.wait(120)) as first:
        slow, quick = engine.dispatch(queue), None
        until(lambda: first.worked == [slow])
        quick = engine.dispatch(queue)
        with at_work(broker, queue, tmp_path / "b"):
            engine.answer(quick)
        gate.set()
        engine.answer(slow)


def test_nothing_is_taken_while_there_is_no_room(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    worker = Worker(broker, queue, tmp_path / "j", lambda _: None, once=True)
    worker.why = "there is no memory"
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    step = engine.dispatch(queue)
    assert worker.is_connected.wait(60)
    time.sleep(0.5)
    assert (worker.worked, worker.full, broker.ready(queue)) == ([], "there is no memory", 1)
    worker.why = ""
    engine.answer(step)
    worker.finish()
    thread.join(10)


def test_a_pause_leaves_everything_in_the_queue_and_ends(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with at_work(broker, queue, tmp_path / "j") as worker:
        engine.answer(engine.dispatch(queue))
        worker.held_back = "paused"
        time.sleep(0.6)
        step = engine.dispatch(queue)
        time.sleep(0.6)
        assert broker.ready(queue) == 1
        worker.held_back = ""
        engine.answer(step)


def test_what_arrives_in_the_moment_of_a_drain_goes_back(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    class Drained(Worker):
        def _delivered(self, *arrived: Any) -> None:
            super()._delivered(*arrived)
            self.held_back = "draining"

    worker = Drained(broker, queue, tmp_path / "j", lambda _: None, once=True)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    engine.dispatch(queue)
    until(lambda: worker.held_back)
    until(lambda: broker.ready(queue) == 1)
    worker.finish()
    thread.join(10)
    assert worker.worked == []


def test_a_step_that_two_were_given_is_done_by_the_one_who_asked_the_broker_first(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with (
        at_work(broker, queue, tmp_path / "a", lambda _: gate.wait(60), once=True) as first,
        at_work(broker, queue, tmp_path / "b", lambda _: gate.wait(60), once=True) as second,
    ):
        step = engine.dispatch(queue)
        until(lambda: first.worked or second.worked)
        body = next((tmp_path).glob("?/inbox/*.json")).read_bytes()
        # What a broker does that lost our acknowledgement.
        engine.send(queue, body)
        until(lambda: broker.ready(queue) == 0)
        time.sleep(0.3)
        gate.set()
        engine.answer(step)
        assert first.worked + second.worked == [step]
    assert list(tmp_path.glob("?/inbox/*")) == []


def test_what_was_only_offered_is_done_after_a_restart_unless_somebody_else_has_it(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "j")
    steps = {}
    for name in ("ours", "theirs"):
        wfid = engine.dispatch(f"{queue}-elsewhere")
        steps[name] = wfid
        item = {"fields": {}, "fei": {"wfid": wfid, "subid": "fd0f93f7dbe923b6", "expid": "0_0_1", "engine_id": "e"}}
        journal.accept(f"{wfid}!fd0f93f7dbe923b6!0_0_1", json.dumps(item).encode(), offered=True)
    connection = broker.connect()
    assert marks.take(connection, f"{steps['theirs']}!fd0f93f7dbe923b6!0_0_1", journal.owner + 1) is True
    journal.close()
    with at_work(broker, queue, tmp_path / "j", once=True) as worker:
        engine.answer(steps["ours"])
        assert worker.worked == [steps["ours"]]
    assert list((tmp_path / "j" / "inbox").iterdir()) == []
    connection.close()


def test_posted_messages_survive_a_broker_that_is_away_in_order_and_leave_the_outbox_when_confirmed(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with at_work(broker, queue, tmp_path / "j") as worker:
        broker.kill()
        for number in range(5):
            worker.post(f"{queue}-box", {"n": number})
        assert len(list((tmp_path / "j" / "outbox").iterdir())) == 5
        broker.start()
        until(lambda: worker.unsent == 0, 40)
    assert list((tmp_path / "j" / "outbox").iterdir()) == []
    connection = broker.connect()
    channel = connection.channel()
    bodies = [channel.basic_get(f"{queue}-box", auto_ack=True) for _ in range(5)]
    assert [json.loads(body)["n"] for _, _, body in bodies] == [0, 1, 2, 3, 4]
    assert {properties.delivery_mode for _, properties, _ in bodies} == {2}
    connection.close()


def test_a_queue_that_refuses_does_not_hold_up_the_others(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    broker.control("add_user", "narrow", "narrow")
    # May not declare what is not there.
    broker.control("set_permissions", "narrow", f"^({queue}|skynet\\..*|amq\\..*)$", ".*", ".*")
    with at_work(broker, queue, tmp_path / "j") as worker:
        worker.broker = Broker.at(broker.address, user="narrow", password="narrow", vhost="/")
        worker.is_connected.clear()
        worker.reconnect()
        assert worker.is_connected.wait(60)
        worker.post(f"{queue}-nowhere", {"n": 1})
        engine.answer(engine.dispatch(queue))
        until(lambda: worker.unsent == 1)
        broker.control("set_permissions", "narrow", ".*", ".*", ".*")
        until(lambda: worker.unsent == 0, 20)


def test_a_lossy_message_is_not_kept(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    box = f"{queue}-box"
    connection = broker.connect()
    connection.channel().queue_declare(box, durable=True)
    with at_work(broker, queue, tmp_path / "j") as worker:
        worker.post(box, {"n": 1}, lossy=True)
        until(lambda: broker.ready(box) == 1)
        assert list((tmp_path / "j" / "outbox").iterdir()) == []
    method, properties, _ = connection.channel().basic_get(box, auto_ack=True)
    assert method and properties.delivery_mode != 2
    assert int(properties.expiration) <= 10_000, "it does not wait for ever before others"
    connection.close()


def test_a_lossy_message_does_not_come_after_what_was_posted_later(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    class Teller(Worker):
        def tick(self) -> None:
            if self.is_connected.is_set() and not self.worked:
                self.worked.append("told")
                self.post("ruote_workitems", {"half": True}, lossy=True)
                self.post("ruote_workitems", {"end": True})

    with at_work(broker, queue, tmp_path / "j", kind=Teller):
        until(lambda: {"end": True} in map(json.loads, engine.dropped))
    assert [json.loads(each) for each in engine.dropped] == [{"end": True}]


def test_a_journal_that_cannot_be_written_takes_nothing_and_says_so(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal.accept

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with at_work(broker, queue, tmp_path / "j") as worker:
        monkeypatch.setattr(Journal, "accept", full)
        step = engine.dispatch(queue)
        until(lambda: "No space left" in worker.full)
        until(lambda: broker.ready(queue) == 1)
        assert worker.worked == []
        monkeypatch.setattr(Journal, "accept", real)
        engine.answer(step)


def test_high_priority_comes_first_where_the_queue_has_priorities(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    import pika

    arguments = {"x-max-priority": 2}
    connection = broker.connect()
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments=arguments)
    for number, priority in enumerate((0, 0, 1)):
        body = {"fields": {"params": {"forget": True}}, "fei": {"wfid": f"w{number}", "subid": "s", "expid": "0"}}
        channel.basic_publish("", queue, json.dumps(body).encode(), pika.BasicProperties(priority=priority))
    connection.close()
    with at_work(broker, queue, tmp_path / "j", arguments=arguments) as worker:
        until(lambda: len(worker.worked) == 3)
        assert worker.worked == ["w2", "w0", "w1"]


def test_everybody_hears_the_control_exchange_and_answers(broker: Node, queue: str, tmp_path: Path) -> None:
    address = Broker.at(broker.address, user="guest", password="guest", vhost="/")
    with (
        at_work(broker, queue, tmp_path / "a", control=True) as first,
        at_work(broker, queue, tmp_path / "b", control=True) as second,
        Control(address) as control,
    ):
        answers = control.ask("status", 0.7, worker="")
        assert sorted(answer["worker"] for answer in answers) == ["a", "b"]
        control.tell("cancel", image_id="x-1")
        until(lambda: len(first.told) == len(second.told) == 2)
        assert first.told[1] == {"action": "cancel", "image_id": "x-1", "user": "guest"}


def test_who_says_something_cannot_be_forged(broker: Node) -> None:
    address = Broker.at(broker.address, user="guest", password="guest", vhost="/")
    import dataclasses

    with Control(address) as control, pytest.raises(BrokerError, match="user_id property set to 'root'"):
        control._broker = dataclasses.replace(address, user="root")
        control.tell("status")
        control.ask("status", 0.2)


def test_a_mark_is_seen_by_whoever_comes_later(broker: Node, queue: str) -> None:
    address = Broker.at(broker.address, user="guest", password="guest", vhost="/")
    connection = broker.connect()
    assert not marks.is_set(connection, f"{queue}-1")
    with Control(address) as control:
        control.mark_cancelled(f"{queue}-1")
    assert marks.is_set(connection, f"{queue}-1")
    assert not marks.is_set(connection, f"{queue}-2")
    connection.close()


def test_a_claim_is_the_first_ones_and_stays(broker: Node, queue: str) -> None:
    connection = broker.connect()
    name = f"{queue}!a!0_0" + "x" * 300
    assert [marks.take(connection, name, owner) for owner in (7, 8, 7)] == [True, False, True]
    connection.close()


def claims(node: Node) -> list[str]:
    return [line for line in node.control("list_queues", "--no-table-headers", "name").split() if ".taken." in line]


def test_a_claim_is_let_go_when_nobody_else_can_have_been_given_the_step(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "j", lambda _: gate.wait(60), once=True) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
        assert [claim for claim in claims(broker) if step in claim]
        gate.set()
        engine.answer(step)
        until(lambda: not worker.busy)
        assert not [claim for claim in claims(broker) if step in claim]


def given_to_another_before(broker: Node, engine: Engine, queue: str) -> str:
    """A step that somebody was given whose connection has gone since."""
    with broker.connect() as connection:
        other = connection.channel()
        other.queue_declare(queue, durable=True)
        step = engine.dispatch(queue)
        until(lambda: other.basic_get(queue)[0])
    return step


def test_a_claim_stays_where_somebody_was_given_the_step_before_and_may_have_kept_it(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    step = given_to_another_before(broker, engine, queue)
    with at_work(broker, queue, tmp_path / "j", once=True) as worker:
        engine.answer(step)
        until(lambda: not worker.busy)
        assert [claim for claim in claims(broker) if step in claim]


def test_a_claim_stays_for_who_wants_no_answer_and_may_send_the_step_again(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with at_work(broker, queue, tmp_path / "a", once=True) as first:
        step = engine.dispatch(queue, forget=True)
        until(lambda: first.worked and not first.busy)
        body = json.dumps({"fields": {"params": {"forget": True}}, "fei": _fei(step)}).encode()
        first.held_back = "paused"
        time.sleep(0.5)
        with at_work(broker, queue, tmp_path / "b", once=True) as second:
            engine.send(queue, body)
            until(lambda: broker.ready(queue) == 0)
            time.sleep(0.3)
            assert second.worked == []


@pytest.mark.parametrize("once", [False, True])
def test_a_step_that_the_engine_applies_again_is_done_again_and_one_that_comes_twice_is_not(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, once: bool
) -> None:
    with at_work(broker, queue, tmp_path / "j", once=once) as worker:
        step = engine.dispatch(queue)
        engine.answer(step)
        for time_sent, times in (("2026-11-23 20:38:59 UTC", 1), ("2026-11-23 20:39:00 UTC", 2)):
            fields = {"params": {"ref": queue}, "dispatched_at": time_sent}
            engine.send(queue, json.dumps({"fields": fields, "fei": _fei(step)}).encode())
            after = engine.dispatch(queue)
            engine.answer(after)
            assert worker.worked.count(step) == times


def test_a_step_that_the_engine_applies_again_is_done_by_another_also_where_the_first_claim_still_stands(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    step = given_to_another_before(broker, engine, queue)
    with at_work(broker, queue, tmp_path / "a", once=True) as first:
        engine.answer(step)
        until(lambda: not first.busy)
        assert [claim for claim in claims(broker) if step in claim]
        first.held_back = "paused"
        time.sleep(0.5)
        with at_work(broker, queue, tmp_path / "b", once=True) as second:
            fields = {"params": {"ref": queue}, "dispatched_at": "2026-11-23 20:39:00 UTC"}
            engine.send(queue, json.dumps({"fields": fields, "fei": _fei(step)}).encode())
            until(lambda: second.worked == [step])


def test_a_queue_that_was_deleted_is_declared_anew_and_its_messages_are_taken(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with at_work(broker, queue, tmp_path / "j") as worker:
        engine.answer(engine.dispatch(queue))
        worker.is_connected.clear()
        broker.control("delete_queue", queue)
        assert worker.is_connected.wait(60)
        engine.answer(engine.dispatch(queue))


def test_a_queue_that_takes_no_more_holds_up_no_other_and_no_work(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    full, other = f"{queue}_full", f"{queue}_other"
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(full, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.basic_publish("", full, b"{}")
        with at_work(broker, queue, tmp_path / "j") as worker:
            worker.is_connected.clear()
            worker.post(full, {"a": 1})
            worker.post(other, {"a": 2})
            until(lambda: broker.ready(other) == 1)
            engine.answer(engine.dispatch(queue))
            until(lambda: worker.unsent == 1)
            assert not worker.is_connected.is_set()


def test_an_answer_to_a_control_message_that_cannot_travel_ends_nothing(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    class Strange(Worker):
        def controlled(self, message: dict[str, Any]) -> dict[str, Any] | None:
            return {**(super().controlled(message) or {}), "place": tmp_path}

    address = Broker.at(broker.address, user="guest", password="guest", vhost="/")
    with at_work(broker, queue, tmp_path / "j", kind=Strange, control=True) as worker, Control(address) as said:
        assert said.ask("status") == []
        assert worker.told
        engine.answer(engine.dispatch(queue))


def test_what_cannot_be_used_at_a_reconnect_is_waited_for(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with at_work(broker, queue, tmp_path / "j") as worker:
        good, reasons = worker.broker, list[str]()
        worker.disconnected = lambda reason, _: reasons.append(reason)  # type: ignore[method-assign]
        worker.broker = dataclasses.replace(good, ca=tmp_path / "is being replaced")
        worker.reconnect()
        until(lambda: len(reasons) > 1)
        assert "TLS cannot be used" in reasons[0]
        worker.broker = good
        engine.answer(engine.dispatch(queue))


def _fei(wfid: str) -> dict[str, str]:
    return {"engine_id": "engine", "wfid": wfid, "subid": "fd0f93f7dbe923b6", "expid": "0_0_1"}


def test_nothing_can_be_posted_after_the_end(broker: Node, queue: str, tmp_path: Path) -> None:
    with at_work(broker, queue, tmp_path / "j") as worker:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        worker.post("q", {"status": "ERROR"})
    assert list((tmp_path / "j" / "outbox").iterdir()) == []


def test_a_question_for_room_that_fails_takes_nothing_and_ends_nothing(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    class Unsure(Worker):
        def may_take(self) -> str:
            if self.why:
                raise ValueError(self.why)
            return ""

    worker = Unsure(broker, queue, tmp_path / "j", lambda _: None)
    worker.why = "no such directory"
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    step = engine.dispatch(queue)
    until(lambda: "no such directory" in worker.full)
    worker.why = ""
    engine.answer(step)
    worker.finish()
    thread.join(10)


def test_a_message_that_cannot_be_set_aside_is_not_lost(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal.refuse

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with at_work(broker, queue, tmp_path / "j") as worker:
        monkeypatch.setattr(Journal, "refuse", full)
        engine.send(queue, b"junk")
        until(lambda: "No space left" in worker.full)
        monkeypatch.setattr(Journal, "refuse", real)
        until(lambda: list((tmp_path / "j" / "refused").glob("*.body")))


def test_a_control_message_cannot_have_answers_sent_to_any_queue(broker: Node, queue: str, tmp_path: Path) -> None:
    import pika

    connection = broker.connect()
    channel = connection.channel()
    channel.queue_declare(f"{queue}-victim")
    with at_work(broker, queue, tmp_path / "j", control=True) as worker:
        properties = pika.BasicProperties(reply_to=f"{queue}-victim")
        channel.basic_publish("skynet.control", "", b'{"action": "status"}', properties)
        until(lambda: worker.told)
        time.sleep(0.3)
    assert channel.queue_declare(f"{queue}-victim", passive=True).method.message_count == 0
    connection.close()


def test_a_claim_stays_when_the_connection_broke_since(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    with at_work(broker, queue, tmp_path / "j", lambda _: gate.wait(60), once=True) as worker:
        step = engine.dispatch(queue)
        until(lambda: worker.worked)
        worker.is_connected.clear()
        broker.control("close_all_connections", "test")
        assert worker.is_connected.wait(60)
        gate.set()
        engine.answer(step)
        until(lambda: not worker.busy)
        assert [claim for claim in claims(broker) if step in claim]


def test_a_participant_can_ask_the_broker_from_its_work(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    def task(worker: Worker) -> None:
        assert worker.workitem
        worker.workitem.fields.cancelled = worker.ask_broker(lambda connection: marks.is_set(connection, "x-77"))

    connection = broker.connect()
    marks.place(connection, "x-77")
    connection.close()
    with at_work(broker, queue, tmp_path / "j", task):
        assert engine.answer(engine.dispatch(queue))["fields"]["cancelled"] is True
