# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what SkyNET/exo.py does with control messages, slots and the journal, as a process with a broker."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from RuoteAMQP.connection import Broker
from RuoteAMQP.control import Control
from tests.support.engine import Engine
from tests.support.hosted import Hosted
from tests.support.rabbitmq import Node

pytestmark = pytest.mark.real

HANDLER = """
import threading, time

class ParticipantHandler:
    slots = 2
    once = True

    def __init__(self):
        self.stops = {}

    def handle_lifecycle_control(self, ctrl):
        self.log.info("hears %s", ctrl.message)

    def handle_wi_control(self, ctrl):
        self.log.info("control %s image=%s step=%s who=%s why=%s held=%s", ctrl.message, ctrl.image_id, ctrl.step,
                      ctrl.who, ctrl.reason, ctrl.workitem is not None)
        if ctrl.image_id in self.stops:
            self.stops[ctrl.image_id].set()

    def status(self):
        return {"load": 7}

    def handle_wi(self, wid):
        image_id = wid.fields.image.image_id
        wid.fields.cancelled_before = self.is_cancelled(image_id)
        self.post("told_" + wid.participant_name, {"image_id": image_id})
        stop = self.stops[image_id] = threading.Event()
        self.log.info("holds")
        wid.result = not stop.wait(wid.params.wait or 0)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "waiter.py"
    path.write_text(HANDLER)
    return path


def control(node: Node) -> Control:
    return Control(Broker.at(node.address, user="guest", password="guest", vhost="/"))


def image(number: int) -> dict[str, Any]:
    return {"image": {"image_id": f"x-{number}", "name": "x"}}


def until(what: Callable[[], object], within: float = 60) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_handler_has_the_slots_that_it_says_and_tells_what_it_holds(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as hosted, control(broker) as said:
        hosted.wait_for("taking workitems")
        steps = [engine.dispatch(queue, image(number), wait=30) for number in range(3)]
        until(lambda: broker.ready(queue) == 1)
        (status,) = said.ask("status", worker=queue)
        assert (status["worker"], status["slots"], status["state"], status["load"]) == (queue, 2, "waiting", 7)
        assert sorted(held["image_id"] for held in status["held"]) == ["x-0", "x-1"]
        assert status["held"][0]["step"] == f"{steps[0]}!fd0f93f7dbe923b6!0_0_1"
        for number in range(3):
            hosted.wait_for(f"x-{number}] holds")
            said.tell("cancel", image_id=f"x-{number}", who="jan", reason="wrong\nimage")
            assert engine.answer(steps[number])["fields"]["__result__"] is False
        assert "control cancel image=x-0 step= who=jan why=wrong?image held=True" in hosted.log


def test_the_configuration_says_how_many_slots_there_are(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code, more="[participant]\nslots = 3\n"), control(broker) as said:
        until(lambda: said.ask("status", 0.3, worker=queue))
        assert said.ask("status", worker=queue)[0]["slots"] == 3


def test_a_paused_participant_takes_nothing_until_it_goes_on(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as hosted, control(broker) as said:
        hosted.wait_for("taking workitems")
        assert said.ask("pause", worker=queue)[0]["state"] == "paused"
        time.sleep(0.5)
        step = engine.dispatch(queue, image(1))
        time.sleep(0.5)
        assert broker.ready(queue) == 1
        assert said.ask("pause", 0.3, worker="another") == []
        said.tell("resume", worker=queue)
        engine.answer(step)


def test_a_drained_participant_finishes_what_it_holds_and_ends(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as hosted, control(broker) as said:
        held = engine.dispatch(queue, image(1), wait=1)
        hosted.wait_for("taking workitems")
        until(lambda: said.ask("status", 0.2, worker=queue)[0]["held"])
        said.tell("drain", worker=queue)
        assert hosted.ended() == 0
        engine.answer(held)
        assert "hears die" in hosted.log


def test_a_mark_is_seen_before_the_work(broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path) -> None:
    with control(broker) as said:
        said.mark_cancelled("x-55")
        with Hosted(broker, tmp_path, queue, code=code):
            assert engine.answer(engine.dispatch(queue, image(55)))["fields"]["cancelled_before"] is True
            assert engine.answer(engine.dispatch(queue, image(56)))["fields"]["cancelled_before"] is False


def test_a_killed_process_goes_on_with_what_it_had_and_what_it_posted_is_sent(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as hosted:
        step = engine.dispatch(queue, image(1), wait=1)
        until(lambda: broker.ready(f"told_{queue}") == 1)
        hosted.signal(signal.SIGKILL)
        hosted.ended()
    with Hosted(broker, tmp_path, queue, code=code) as hosted:
        assert engine.answer(step)["fields"]["__result__"] is True
        hosted.wait_for("going on with")
    assert engine.ignored == []


def test_a_step_that_is_once_is_left_for_the_next_start_at_sigterm(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code, more="[skynet]\nstop_timeout = 0.3\n") as hosted:
        step = engine.dispatch(queue, image(1), wait=2)
        until(lambda: broker.ready(f"told_{queue}") == 1)
        hosted.signal(signal.SIGTERM)
        assert hosted.ended() == 0
        assert "is left for the next start" in hosted.log
    assert broker.ready(queue) == 0
    with Hosted(broker, tmp_path, queue, code=code):
        engine.answer(step)


def test_a_host_whose_work_goes_on_without_it_does_not_wait_for_it(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    code.write_text(HANDLER.replace("once = True", "once = leaves_work = True"))
    with Hosted(broker, tmp_path, queue, code=code) as hosted:
        step = engine.dispatch(queue, image(1), wait=60)
        hosted.wait_for("x-1] holds")
        hosted.signal(signal.SIGTERM)
        # Not the stop_timeout of 30 s.
        assert hosted.ended(20) == 0
    with Hosted(broker, tmp_path, queue, code=code) as hosted, control(broker) as said:
        until(lambda: hosted.log.count("x-1] holds") == 2)
        said.tell("cancel", image_id="x-1")
        engine.answer(step)


def test_a_message_that_cannot_be_used_lies_in_the_journal_with_its_reason(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code):
        engine.send(queue, b"no workitem")
        engine.answer(engine.dispatch(queue, image(1)))
    (body,) = (tmp_path / "journal" / "refused").glob("*.body")
    assert body.read_bytes() == b"no workitem"
    assert "JSON" in body.with_suffix(".json").read_text()


def test_two_processes_of_one_configuration_do_not_share_a_journal(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as first, Hosted(broker, tmp_path, queue, code=code) as second:
        until(lambda: first.log.count("taking workitems") == 2)
        steps = [engine.dispatch(queue, image(number), wait=1) for number in range(4)]
        for step in steps:
            engine.answer(step)
        assert second.process and second.process.poll() is None
    assert (tmp_path / "journal.2" / "done").is_dir()


def test_what_was_cancelled_while_the_connection_was_away_is_cancelled_when_it_is_back(
    broker: Node, engine: Engine, queue: str, tmp_path: Path, code: Path
) -> None:
    with Hosted(broker, tmp_path, queue, code=code) as hosted:
        hosted.wait_for("taking workitems")
        step = engine.dispatch(queue, image(7), wait=300)
        hosted.wait_for("x-7] holds")
        with control(broker) as said:
            said.mark_cancelled("x-7")
        broker.control("close_all_connections", "a test", "--vhost", "/")
        hosted.wait_for("x-7 was cancelled meanwhile")
        assert engine.answer(step)["fields"]["__result__"] is False


def test_a_broker_that_says_nothing_holds_up_no_end(broker: Node, queue: str, tmp_path: Path, code: Path) -> None:
    with Hosted(broker, tmp_path, queue, code=code, more="[skynet]\nstop_timeout = 1\n") as hosted:
        hosted.wait_for("taking workitems")
        with Engine(broker) as engine:
            engine.dispatch(queue, image(8), wait=1)
            hosted.wait_for("x-8] holds")
        with broker.frozen():
            # The reply is sent meanwhile, and its confirm is waited for.
            time.sleep(5)
            hosted.signal(signal.SIGTERM)
            assert hosted.ended(30) == 1
        assert "ended by force" in hosted.log
