# SPDX-License-Identifier: GPL-2.0-or-later
"""The participant build_image builds in virtual machines where its machine's configuration says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore.builds.cancelling import cancel
from imgcore.job import Status
from tests.support import machines, slow, small
from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.rabbitmq import Node
from tests.support.station import Station

pytestmark = [pytest.mark.real, pytest.mark.vm]
__all__ = ["broker", "engine"]

_PROCESS = ["define", {"name": "build"}, [["sequence", {}, [["build_ks", {}, []], ["build_image", {}, []]]]]]


@pytest.fixture(scope="module")
def station(broker: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = Station(broker, tmp_path_factory.mktemp("participant") / "station")
    configuration = made.place / "imager.conf"
    told = configuration.read_text().replace("tool = slow\n", "tool = builtin\nexecutor = vm\n")
    configuration.write_text(f"{told}[vm]\naccelerator = tcg\nmemory = 768M\n")
    with made.hosting("build_ks", "build_image"):
        yield made


@pytest.fixture
def boss(engine: Engine, station: Station) -> Engine:
    station.skynet("register", "build_ks")
    station.skynet("register", "build_image")
    slow.until(lambda: {"build_ks", "build_image"} <= set(engine.registered), 60)
    return engine


def image(repository: Path, image_id: str, tail: str = "") -> dict[str, Any]:
    text = small.kickstart(repository, tail=tail)
    return {"image": {"image_id": image_id, "name": "n", "arch": "x86_64", "image_type": "fs", "kickstart": text}}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.repository(tmp_path_factory.mktemp("packages") / "repository")


def test_an_image_is_built_in_a_machine_and_the_engine_hears_where_it_is(
    boss: Engine, station: Station, repository: Path
) -> None:
    ended = boss.ended(boss.launch(_PROCESS, image(repository, "built"), {}), within=300)
    answer = ended.fields["image"]
    assert ended.fields["__result__"] is True, ended.fields.get("msg")
    job = station.spool.read("built")
    assert (job.executor, job.status) == ("vm", Status.DONE)
    assert [dict(each) for each in job.artifacts] == answer["artifacts"] != []
    assert (Path(job.directory) / "n.tar.gz").stat().st_size > 10_000
    assert "boot" in [each["phase"] for each in job.phases]
    assert machines.left() == []


def test_a_cancel_ends_the_machine_within_moments_and_leaves_nothing(
    boss: Engine, station: Station, repository: Path
) -> None:
    wfid = boss.launch(_PROCESS, image(repository, "unwanted", "%post\necho at it; sleep 600\n%end\n"), {})
    log = station.spool.log("unwanted")
    slow.until(lambda: log.exists() and "%post of line" in log.read_text(), 300)
    assert machines.left() != []
    began = time.monotonic()
    cancel(station.spool, "unwanted", "me")
    ended = boss.ended(wfid, within=30)
    assert json.dumps(ended.fields["msg"]).count("CANCELLED") == 1
    assert station.spool.read("unwanted").status is Status.CANCELLED
    assert machines.left() == [] and time.monotonic() - began < 10
    assert not (station.spool.directory("unwanted") / "vm").exists()
