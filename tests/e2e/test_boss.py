# SPDX-License-Identifier: GPL-2.0-or-later
"""The shipped processes with the four participants, on machines of their own: one keeps records, the other builds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore.job import Job, Status
from tests.support import slow
from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.rabbitmq import Node
from tests.support.station import Station
from tests.support.workflow import Process

pytestmark = pytest.mark.real
__all__ = ["broker", "engine"]

_PROCESSES = Path(__file__).parents[2] / "conf/processes"
_PARTICIPANTS = ("build_ks", "request_image", "update_image_status", "build_image")
_numbers = itertools.count(1)


class Boss:
    """Engine, a machine that keeps the records, and one that builds."""

    def __init__(self, engine: Engine, office: Station, builder: Station) -> None:
        self.engine, self.office, self.builder = engine, office, builder

    def run(self, process: str, fields: dict[str, Any], **variables: Any) -> Process:
        """Run a process of conf/processes to its end, and all that it launched."""
        wfid = self.engine.launch(json.loads((_PROCESSES / f"{process}.json").read_text()), fields, variables)
        ended = self.engine.ended(wfid, within=120)
        for other in list(self.engine.processes):
            self.engine.ended(other, within=60)
        return ended

    def requested(self, name: str, **image: Any) -> dict[str, Any]:
        """A job that somebody recorded already."""
        one = {"name": name, "arch": "x86_64", "image_type": "fs", "kickstart": slow.kickstart(), **image}
        step = ["define", {"name": "ask"}, [["request_image", {}, []]]]
        found: dict[str, Any] = self.engine.ended(self.engine.launch(step, {"image": one}), within=60).fields["image"]
        return found

    def job(self, image_id: str) -> Job:
        return self.office.spool.read(image_id)

    def statuses(self, image_id: str) -> list[str]:
        """The states that the record went through."""
        lines = (self.office.spool.directory(image_id) / "events.jsonl").read_text().splitlines()
        states = (json.loads(line).get("status") or json.loads(line).get("to") for line in lines)
        return [state for state, _ in itertools.groupby(each for each in states if each)]


@pytest.fixture(scope="module")
def machines(broker: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Station, Station]]:
    place = tmp_path_factory.mktemp("boss")
    office, builder = Station(broker, place / "office"), Station(broker, place / "builder")
    with office.hosting("build_ks", "request_image", "update_image_status"), builder.hosting("build_image"):
        yield office, builder


@pytest.fixture
def boss(engine: Engine, machines: tuple[Station, Station]) -> Boss:
    office, builder = machines
    for name in _PARTICIPANTS[:1]:
        office.skynet("register", name)
    for name in _PARTICIPANTS[1:]:
        engine.register(name)
    slow.until(lambda: set(_PARTICIPANTS) <= set(engine.registered), 60)
    return Boss(engine, office, builder)


def test_an_image_on_demand_is_built_and_its_record_says_how(boss: Boss) -> None:
    image = boss.requested("demo")
    ended = boss.run("image_on_demand", {"image": image})
    assert (ended.state, ended.fields["__result__"]) == ("ended", True)
    answer = ended.fields["image"]
    job = boss.job(image["image_id"])
    assert boss.statuses(job.image_id) == ["IN QUEUE", "BUILDING", "DONE"]
    assert job.files_url == answer["files_url"] != ""
    assert [dict(each) for each in job.artifacts] == answer["artifacts"] != []
    assert job.worker["name"] == "build_image"
    assert not boss.builder.spool.directory(image["image_id"]).parent.samefile(boss.office.spool.root / "jobs")


def test_a_kickstart_of_the_store_is_found_by_its_name(boss: Boss) -> None:
    (boss.office.ksstore / "stored.ks").write_text(slow.kickstart())
    fields = {"images": [{"ksfile": "stored.ks", "arch": "x86_64", "image_type": "fs"}]}
    assert boss.run("nightly_images", fields).state == "ended"
    job = next(each for each in boss.office.spool.jobs() if each.name == "stored")
    assert job.status is Status.DONE


def test_a_kickstart_that_is_refused_makes_the_job_an_error_with_the_reason(boss: Boss) -> None:
    image = boss.requested("bad")
    image["kickstart"] = "nosuchcommand\n"
    assert boss.run("image_on_demand", {"image": image}).state == "ended"
    job = boss.job(image["image_id"])
    assert job.status is Status.ERROR
    assert "nosuchcommand" in job.error


def test_a_build_that_fails_makes_the_job_an_error_with_the_tools_reason(boss: Boss) -> None:
    image = boss.requested("fails", kickstart=slow.kickstart(0, "# fail"))
    assert boss.run("image_on_demand", {"image": image}).state == "ended"
    job = boss.job(image["image_id"])
    assert boss.statuses(job.image_id) == ["IN QUEUE", "BUILDING", "ERROR"]
    assert "nosuch" in job.error


def test_attempts_are_jobs_of_their_own_each_the_retry_of_the_one_before(boss: Boss) -> None:
    image = {"name": "again", "arch": "x86_64", "image_type": "fs", "kickstart": slow.kickstart(0, "# fail")}
    assert boss.run("build_with_retry", {"image": image}, attempts=2).state == "ended"
    jobs = sorted((job for job in boss.office.spool.jobs() if job.name == "again"), key=lambda job: job.attempt)
    assert [(job.status, job.attempt) for job in jobs] == [(Status.ERROR, 1), (Status.ERROR, 2)]
    assert jobs[1].retry_of == jobs[0].image_id


def test_all_images_of_the_night_are_built_and_reported(boss: Boss) -> None:
    names = ("one", "two", "three")
    images = [
        {"name": name, "arch": "x86_64", "image_type": "fs", "kickstart": slow.kickstart(0, *lines)}
        for name, lines in zip(names, ((), ("# fail",), ()), strict=True)
    ]
    ended = boss.run("nightly_images", {"images": images})
    jobs = {job.name: job for job in boss.office.spool.jobs() if job.name in names}
    assert {name: str(job.status) for name, job in jobs.items()} == {"one": "DONE", "two": "ERROR", "three": "DONE"}
    assert all(any(line.startswith(job.image_id) for line in ended.fields["msg"]) for job in jobs.values())


def test_the_text_of_a_process_can_be_launched_too(boss: Boss) -> None:
    image = boss.requested("text")
    before = len(boss.engine.processes)
    boss.office.skynet(
        "launch",
        str(_PROCESSES / "image_on_demand.pdef"),
        "--fields",
        json.dumps({"image": image, "persistent": True}),
    )
    slow.until(lambda: len(boss.engine.processes) > before)
    slow.until(lambda: boss.job(image["image_id"]).status is Status.DONE, 60)
    assert boss.statuses(image["image_id"])[-1] == "DONE"


@pytest.mark.parametrize("persistent", [True, False])
def test_a_step_that_waits_outlives_a_restart_of_the_broker_where_the_process_says_so(
    broker: Node, engine: Engine, tmp_path: Path, persistent: bool
) -> None:
    queue = f"late_ks_{persistent}"
    late = Station(broker, tmp_path / "late")
    (late.configuration / "build_ks.conf").write_text(f"[participant]\nqueue = {queue}\n")
    with late.hosting("build_ks"):
        late.skynet("register", "build_ks", "--queue", queue)
    slow.until(lambda: engine.registered.get("build_ks") == queue, 60)
    process = ["define", {"name": "only"}, [["set", {"f:persistent": persistent}, []], ["build_ks", {}, []]]]
    wfid = engine.launch(process, {"image": {"name": "n", "kickstart": slow.kickstart()}})
    slow.until(lambda: broker.ready(queue) == 1, 60)
    broker.stop()
    broker.start()
    with late.hosting("build_ks"):
        if persistent:
            assert engine.ended(wfid, 60).fields["image"]["name"] == "n"
        else:
            with pytest.raises(TimeoutError, match="hangs at build_ks"):
                engine.ended(wfid, 3)


def test_a_process_that_is_cancelled_ends_and_so_does_not_the_build_whose_step_the_engine_does_not_name(
    boss: Boss,
) -> None:
    image = boss.requested("long", kickstart=slow.kickstart(3))
    wfid = boss.engine.launch(
        json.loads((_PROCESSES / "image_on_demand.pdef").with_suffix(".json").read_text()), {"image": image}
    )
    slow.until(lambda: boss.job(image["image_id"]).status is Status.BUILDING, 60)
    boss.engine.cancel_process(wfid)
    assert boss.engine.ended(wfid).state == "ended"
    slow.until(lambda: boss.job(image["image_id"]).status is Status.DONE, 60)
    assert "a step that it does not name" in boss.builder.log("build_image")
    assert "Traceback" not in boss.builder.log("build_image")
