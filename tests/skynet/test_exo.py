# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves SkyNET/exo.py as it is used: a process that hosts an old participant, a broker, and signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.engine import Engine
from tests.support.hosted import Hosted, configure
from tests.support.rabbitmq import Node, free_port

pytestmark = pytest.mark.real

FIELDS = {"image": {"name": "demo", "image_id": "7-20261124-000000"}, "ev": {"actions": [{"type": "submit"}]}}


def test_an_old_participant_runs_unchanged(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        step = engine.dispatch(queue, FIELDS, early=True)
        reply = engine.answer(step)
        # The early reply is the first, what the host sends at the end is ignored by the engine.
        last = engine.wait_for("ignored")[0]
        engine.cancel(queue)
        hosted.wait_for("control cancel")
        hosted.signal(signal.SIGTERM)
        assert hosted.ended() == 0
    assert reply["fields"]["msg"] == ["submit demo"]
    assert reply["fields"]["image"]["greeting"] == "hello"
    assert (reply["fields"]["__result__"], last["fields"]["__result__"]) == (False, True)
    assert hosted.states.read_text() == "start hello\nstop hello\ndie hello\n"
    assert f"{queue}: [{step} 7-20261124-000000] did first" in hosted.log


def test_an_exception_of_the_handler_is_told_to_the_engine_and_to_the_log(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        step = engine.dispatch(queue, {"ev": {}})
        reply = engine.answer(step)
        engine.answer(engine.dispatch(queue, FIELDS))
    assert reply["error"]["class"] == "RuntimeError"
    assert reply["error"]["message"] == "RuntimeError: Missing mandatory field"
    assert "old_participant.py" in reply["error"]["trace"][0]
    assert reply["fields"]["__error__"] == "Mandatory field image.name missing"
    assert f"ERROR {queue}: [{step}] error in handle_wi" in hosted.log
    assert hosted.log.count("Traceback") == 1


def test_debug_dump_and_debug_trace_are_logged(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        engine.answer(engine.dispatch(queue, {**FIELDS, "debug_dump": True, "secret_of_life": 42}))
        traced = engine.dispatch(queue, {**FIELDS, "debug_trace": True}, status="DONE\nforged line")
        engine.answer(traced)
    assert '"secret_of_life": 42' in hosted.log
    assert (
        f"workitem 0_0_1!fd0f93f7dbe923b6!{traced} for {queue} image.name='demo' status='DONE\\nforged" in hosted.log
    )


def test_sigterm_lets_the_workitem_at_work_end_and_leaves_the_others(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        held, waiting = engine.dispatch(queue, FIELDS, wait=1), engine.dispatch(queue, FIELDS)
        hosted.wait_for("taking workitems")
        time.sleep(0.3)
        hosted.signal(signal.SIGTERM)
        assert hosted.ended() == 0
        assert engine.answer(held)["fields"]["__result__"] is True
    assert broker.ready(queue) == 1
    with Hosted(broker, tmp_path, queue):
        engine.answer(waiting)


def test_sigterm_hands_back_what_does_not_end_in_time(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with Hosted(broker, tmp_path, queue, more="[skynet]\nstop_timeout = 0.5\n") as hosted:
        step = engine.dispatch(queue, FIELDS, wait=60)
        hosted.wait_for("taking workitems")
        time.sleep(0.3)
        began = time.monotonic()
        hosted.signal(signal.SIGTERM)
        assert hosted.ended() == 0
        assert time.monotonic() - began < 3
    assert "handed back" in hosted.log
    assert broker.ready(queue) == 1
    with pytest.raises(TimeoutError):
        engine.answer(step, within=0.2)


def test_a_process_that_is_killed_loses_nothing(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        step = engine.dispatch(queue, FIELDS, wait=1)
        hosted.wait_for("taking workitems")
        time.sleep(0.3)
        hosted.signal(signal.SIGKILL)
        hosted.ended()
    with Hosted(broker, tmp_path, queue):
        assert engine.answer(step)["fields"]["__result__"] is True


def test_sighup_reads_the_configuration_again_and_a_mistake_leaves_the_old_one(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        hosted.wait_for("taking workitems")
        pid = engine.answer(engine.dispatch(queue, FIELDS))["fields"]["image"]["pid"]
        good = hosted.own.read_text()
        hosted.own.write_text(good.replace("hello", "good morning").replace("[old]", f"queue = {queue}_new\n[old]"))
        hosted.signal(signal.SIGHUP)
        hosted.wait_for(f"taking workitems from {queue}_new")
        image = engine.answer(engine.dispatch(f"{queue}_new", FIELDS))["fields"]["image"]
        assert (image["greeting"], image["pid"]) == ("good morning", pid)
        hosted.own.write_text("[participant\n")
        hosted.signal(signal.SIGHUP)
        hosted.wait_for("the old configuration stays in force")
        image = engine.answer(engine.dispatch(f"{queue}_new", FIELDS))["fields"]["image"]
        assert image["greeting"] == "good morning"


def test_systemd_hears_that_the_service_is_ready_lives_reloads_and_stops(
    broker: Node, queue: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(15)

        def heard(wanted: str) -> str:
            while wanted not in (text := listener.recv(4096).decode()).splitlines():
                continue
            return text

        with Hosted(
            broker, tmp_path, queue, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000"
        ) as hosted:
            assert f"STATUS=taking workitems from {queue}" in heard("READY=1")
            heard("WATCHDOG=1")
            heard("WATCHDOG=1")
            hosted.signal(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in heard("RELOADING=1")
            heard("READY=1")
            hosted.signal(signal.SIGTERM)
            heard("STOPPING=1")
            assert hosted.ended() == 0


def test_a_broker_that_is_away_at_the_start_is_waited_for(queue: str, tmp_path: Path) -> None:
    own = configure(tmp_path, f"127.0.0.1:{free_port()}", queue)
    process = subprocess.Popen(
        [sys.executable, "-m", "SkyNET.exo", "--config-dir", str(tmp_path), str(own)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stderr
    first = process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stderr.close()
    assert "no connection to the broker, next attempt in 0." in first
    assert "Connection refused" in first


def test_an_idle_participant_is_small_and_quickly_ready(broker: Node, queue: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with Hosted(broker, tmp_path, queue) as hosted:
        hosted.wait_for("taking workitems")
        took = time.monotonic() - began
        assert hosted.process
        resident = psutil.Process(hosted.process.pid).memory_info().rss
    # The bounds are wide of what an idle machine shows; this one is shared.
    assert resident <= 40 << 20
    assert took <= 3


def test_the_reply_is_json_in_the_order_that_came(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    with Hosted(broker, tmp_path, queue):
        reply = engine.answer(engine.dispatch(queue, {"zz": 1, **FIELDS, "aa": 2}))
    assert list(reply) == ["fields", "fei", "participant_name", "re_dispatch_count", "wf_name", "wf_revision"]
    assert [key for key in reply["fields"] if key in ("zz", "aa")] == ["zz", "aa"]
