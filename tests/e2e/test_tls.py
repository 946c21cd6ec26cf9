# SPDX-License-Identifier: GPL-2.0-or-later
"""A process of the engine's where every participant is at the broker by TLS, with a certificate of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgcore.job import Status
from tests.support import slow
from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.rabbitmq import Node
from tests.support.station import Station

pytestmark = pytest.mark.real
__all__ = ["broker", "engine"]

_PROCESSES = Path(__file__).parents[2] / "conf/processes"
_PARTICIPANTS = ("build_ks", "request_image", "update_image_status", "build_image")


def test_an_image_is_built_and_recorded_by_participants_that_speak_tls_alone(
    broker: Node, engine: Engine, tmp_path: Path
) -> None:
    station = Station(broker, tmp_path, tls=True)
    image = {"name": "sealed", "arch": "x86_64", "image_type": "fs", "kickstart": slow.kickstart()}
    with station.hosting(*_PARTICIPANTS):
        # The command speaks it too.
        for name in _PARTICIPANTS:
            station.skynet("register", name)
        slow.until(lambda: set(_PARTICIPANTS) <= set(engine.registered), 60)
        for name in _PARTICIPANTS:
            assert f"at 127.0.0.1:{broker.tls_port}" in station.log(name)
        step = ["define", {"name": "ask"}, [["request_image", {}, []]]]
        asked = engine.ended(engine.launch(step, {"image": image}), within=60).fields["image"]
        process = json.loads((_PROCESSES / "image_on_demand.json").read_text())
        ended = engine.ended(engine.launch(process, {"image": asked}), within=120)
    assert (ended.state, ended.fields["__result__"]) == ("ended", True)
    assert station.spool.read(asked["image_id"]).status is Status.DONE
