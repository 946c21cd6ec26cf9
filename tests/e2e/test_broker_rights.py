# SPDX-License-Identifier: GPL-2.0-or-later
"""Participants and people with no more rights at the broker than docs/participants.md gives them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pika.exceptions
import pytest

from imgcore.job import Status
from RuoteAMQP.connection import Broker, BrokerError
from RuoteAMQP.control import Control
from tests.support import slow
from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.rabbitmq import Node
from tests.support.station import Station

pytestmark = pytest.mark.real
__all__ = ["broker", "engine"]

_ROOT = Path(__file__).parents[2]
_PASSWORD = "a word"


def _rights(kind: str) -> list[str]:
    """The patterns (configure, write, read) that the documentation has for NAME, or for who controls."""
    text = (_ROOT / "docs/participants.md").read_text()
    found = re.search(rf"^# rabbitmqctl set_permissions .*\b{kind} '(.*)' '(.*)' '(.*)'$", text, re.MULTILINE)
    assert found, f"docs/participants.md does not say what {kind} may"
    return list(found.groups())


def _user(node: Node, kind: str, name: str) -> str:
    """Make the user as documented; returns its name."""
    known = node.control("list_users")
    if f"{name}-user" not in known:
        node.control("add_user", f"{name}-user", _PASSWORD)
    patterns = [pattern.replace("NAME", name) for pattern in _rights(kind)]
    node.control("set_permissions", "-p", "/", f"{name}-user", *patterns)
    return f"{name}-user"


@pytest.fixture
def builder(broker: Node, tmp_path: Path) -> Iterator[Station]:
    station = Station(broker, tmp_path / "builder", user=_user(broker, "NAME", "build_image"), password=_PASSWORD)
    with station.hosting("build_image"):
        yield station


def _broker(node: Node, user: str) -> Broker:
    return Broker.at(node.address, user=user, password=_PASSWORD, vhost="/")


def test_a_builder_with_the_least_rights_builds_tells_and_is_controlled(
    broker: Node, engine: Engine, builder: Station
) -> None:
    engine.register("build_image")
    image = {"name": "n", "arch": "x86_64", "image_type": "fs", "image_id": "rights-1", "kickstart": slow.kickstart()}
    process = ["define", {"name": "only"}, [["build_image", {}, []]]]
    wfid = engine.launch(process, {"image": image})
    assert engine.ended(wfid, 60).fields["image"]["status"] == "DONE"
    # BUILDING and DONE, for somebody who is not here.
    told = [each for each in engine.processes.values() if each.waiting() == ["update_image_status"]]
    assert len(told) == 2

    image |= {"image_id": "rights-2", "kickstart": slow.kickstart(60)}
    wfid = engine.launch(process, {"image": image})
    slow.until(lambda: (builder.spool.root / "jobs/rights-2").is_dir(), 60)
    slow.until(lambda: builder.spool.read("rights-2").status is Status.BUILDING, 60)
    with Control(_broker(broker, _user(broker, "OPERATOR", "operator"))) as control:
        assert [each["worker"] for each in control.ask("status", within=3)] == ["build_image"]
        control.mark_cancelled("rights-2")
        control.tell("cancel", image_id="rights-2", who="somebody", reason="enough")
    assert engine.ended(wfid, 60).fields["image"]["status"] == "CANCELLED"
    log = builder.log("build_image")
    assert "no right" not in log
    assert "cannot be controlled" not in log


def test_a_builder_with_the_least_rights_can_neither_read_other_queues_nor_control(
    broker: Node, builder: Station
) -> None:
    connection = broker.connect()
    connection.channel().queue_declare("update_image_status", durable=True)
    connection.close()
    ours = _broker(broker, "build_image-user").connect()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        ours.channel().basic_get("update_image_status")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        ours.channel().queue_delete("update_image_status")
    ours.close()
    with Control(_broker(broker, "build_image-user")) as control, pytest.raises(BrokerError, match="no right"):
        control.mark_cancelled("something")
    with Control(_broker(broker, "build_image-user")) as control, pytest.raises(BrokerError):
        control.ask("pause", within=0.5)
