# SPDX-License-Identifier: GPL-2.0-or-later
"""A farm without an engine: jobs are submitted to a queue, built by workers on other machines, and controlled."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import psutil
import pytest

from imgcore.job import schema
from tests.support import office, small
from tests.support.broker import broker
from tests.support.farm import Farm, Running, until
from tests.support.img import Home
from tests.support.page import Document
from tests.support.rabbitmq import Node

pytestmark = pytest.mark.real

__all__ = ["broker"]

_SLOW = "%pre\nsleep 100\n%end\n"


@pytest.fixture
def farm(broker: Node, tmp_path: Path) -> Iterator[Farm]:
    """A farm whose records are kept."""
    made = Farm(broker, tmp_path)
    with made.keeper():
        yield made


@pytest.fixture
def quick(farm: Farm, repository: Path) -> Path:
    return farm.home.kickstart(small.kickstart(repository), "quick.ks")


@pytest.fixture
def slow(farm: Farm, repository: Path) -> Path:
    return farm.home.kickstart(small.kickstart(repository, tail=_SLOW), "slow.ks")


# --- submitting


def test_an_image_that_is_submitted_is_built_elsewhere_and_its_record_is_complete_here(
    farm: Farm, quick: Path
) -> None:
    with farm.worker("builder"):
        done = farm.home.img("submit", quick, "--type=fs", "--tag=nightly", "--wait", "--json")
    assert done.code == 0, done.err
    record = done.record
    jsonschema.validate(record, schema())
    assert record == farm.job(record["image_id"])
    assert (record["status"], record["package_count"], record["tags"]) == ("DONE", 3, ["nightly"])
    assert record["worker"]["name"] == "builder"
    path = Path(record["image_url"].removeprefix("file://").replace("%20", " "))
    image = next(each for each in record["artifacts"] if each["kind"] == "archive")
    assert path.stat().st_size == image["size"]
    assert path.is_relative_to(farm.home.path.parent / "machine of builder")
    assert not farm.home.images.exists()


def test_several_are_followed_to_the_end_and_one_that_fails_is_told_with_its_reason(
    farm: Farm, quick: Path, repository: Path
) -> None:
    bad = farm.home.kickstart(small.kickstart(repository, "gone"), "bad.ks")
    with farm.worker("builder", "--slots=2"):
        done = farm.home.img("submit", quick, bad, quick, "--type=fs", "--wait")
    assert done.code == 1
    assert len(re.findall(r"^file://.*quick\.tar\.gz$", done.out, re.MULTILINE)) == len(done.out.splitlines()) == 2
    assert re.search(r"^img: bad-[\d-]+: ERROR: bad\.ks, line 3: package gone .*\(add", done.err, re.MULTILINE)


def test_a_job_of_high_priority_is_taken_before_all_that_wait(farm: Farm, quick: Path) -> None:
    normal = [farm.submit(quick) for _ in range(3)]
    high = farm.submit(quick, "--priority=high")
    queued = farm.home.img("queue", "--json").record
    assert queued["jobs"]["waiting"] == 4
    assert [each["image_id"] for each in queued["spool"]] == [high, *normal]
    with farm.worker("builder", "--slots=1"):
        began = {each: farm.until(each, "DONE")["started_at"] for each in [*normal, high]}
    assert sorted(began, key=lambda each: began[each]) == [high, *normal]


def test_a_job_that_is_sent_twice_is_built_once(farm: Farm, quick: Path) -> None:
    image_id = farm.submit(quick)
    again = farm.home.img("submit", "--again", image_id)
    assert (again.code, again.out.strip()) == (0, image_id)
    assert farm.waiting() == 2
    with farm.worker("one", "--slots=1"), farm.worker("two", "--slots=1"):
        farm.until(image_id, "DONE")
        until("both messages are taken", lambda: not farm.waiting())
        done = farm.home.img("submit", "--again", image_id)
    assert (done.code, done.out) == (2, "")
    assert f"{image_id} is DONE, not IN QUEUE" in done.err
    built = list(farm.home.path.parent.glob("machine of */.local/share/imager/images/requests/quick-*"))
    assert len(built) == 1


def test_without_a_broker_nothing_is_recorded_and_it_is_said_in_one_line(farm: Farm, quick: Path) -> None:
    for options, code, says in (
        (("--broker=127.0.0.1:1",), 1, "no broker: 127.0.0.1:1/: "),
        (("--broker=guest:guest@127.0.0.1",), 2, "a password does not belong there"),
    ):
        done = farm.home.img("submit", quick, "--type=fs", *options)
        assert (done.code, done.out) == (code, "")
        assert says in done.err and len(done.err.splitlines()) == 1
    assert not list(farm.home.spool.glob("jobs/*"))
    stranger = Home(farm.home.path.parent / "stranger")
    for command in (("submit", str(quick)), ("worker",), ("keeper",), ("queue",), ("worker", "drain")):
        done = stranger.img(*command)
        assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
        assert "no broker is known" in done.err


def test_a_job_that_could_not_be_sent_waits_and_is_sent_again(farm: Farm, quick: Path) -> None:
    farm.allow("update_image_status")
    done = farm.home.img("submit", quick, "--type=fs")
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    (record,) = farm.home.records()
    assert record["status"] == "IN QUEUE"
    again = re.search("`img (submit --again .*?)`", done.err)
    assert again and record["image_id"] in again[1]
    farm.allow(".*")
    with farm.worker("builder"):
        assert farm.home.img(*again[1].split(), "--wait").code == 0


def test_ctrl_c_ends_the_waiting_and_not_the_job(farm: Farm, slow: Path) -> None:
    with farm.worker("builder"):
        waiting = Running(farm.home, "submit", slow, "--type=fs", "--wait")
        waiting.wait_for("scripts")
        (image_id,) = [each.name for each in farm.home.spool.glob("jobs/*")]
        waiting.signal(signal.SIGINT)
        assert waiting.ended() == 130
        assert f"`img cancel {image_id}`" in waiting.said.read_text()
        assert farm.job(image_id)["status"] == "BUILDING"
        assert farm.home.img("cancel", image_id).code == 0


# --- cancelling, again


def test_a_running_build_is_cancelled_from_a_machine_that_does_not_know_the_job(farm: Farm, slow: Path) -> None:
    with farm.worker("builder") as worker:
        image_id = farm.submit(slow)
        farm.until(image_id, "BUILDING")
        began = time.monotonic()
        elsewhere = farm.machine("elsewhere")
        done = elsewhere.img("cancel", image_id, "--reason", "wrong branch")
        assert (done.code, done.out, done.err) == (0, "", "")
        record = farm.until(image_id, "CANCELLED", within=10)
        builds = until("no build", lambda: not _builds(worker, image_id), within=10)
        assert builds and time.monotonic() - began < 10
    assert re.search(r"by \S+@\S+: wrong branch", record["error"]), record["error"]
    assert not elsewhere.spool.exists()


def test_a_job_that_is_cancelled_while_it_waits_is_never_begun(farm: Farm, quick: Path) -> None:
    known, unknown = farm.submit(quick), farm.submit(quick)
    assert farm.home.img("cancel", known, "--reason=late").code == 0
    assert farm.job(known)["status"] == "CANCELLED"
    assert farm.machine("elsewhere").img("cancel", unknown).code == 0
    with farm.worker("builder") as worker:
        farm.until(unknown, "CANCELLED")
        until("both messages are taken", lambda: not farm.waiting())
        assert farm.until(farm.submit(quick), "DONE")
    statuses = [each["status"] for each in worker.home.records() if each["image_id"] in (known, unknown)]
    assert set(statuses) <= {"CANCELLED"}
    assert "late" in farm.job(known)["error"]
    done = farm.home.img("cancel", worker.home.records()[-1]["image_id"])
    assert (done.code, "has ended cannot be cancelled" in done.err) == (1, True)


def test_a_build_on_this_machine_is_cancelled_without_any_broker(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository, tail=_SLOW), "slow.ks")
    building = Running(home, "build", path, "--type=fs")
    building.wait_for("scripts")
    (record,) = home.records()
    done = home.img("cancel", record["image_id"], "--reason=enough")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert building.ended(10) == 130
    assert home.records()[0]["status"] == "CANCELLED"
    assert home.records()[0]["error"].endswith(": enough")
    done = home.img("cancel", "nobody-20260101-000000")
    assert done.code == 1
    assert "is not in" in done.err and "no broker is known" in done.err


def test_a_failed_job_is_tried_again_as_a_job_of_its_own(farm: Farm, repository: Path, quick: Path) -> None:
    bad = farm.home.kickstart(small.kickstart(repository, "gone"), "bad.ks")
    with farm.worker("builder"):
        first = farm.submit(bad, "--tag=nightly")
        farm.until(first, "ERROR")
        done = farm.home.img("retry", first, "--priority=high", "--timeout=90m", "--wait", "--json")
    assert done.code == 1
    record = done.record
    assert (record["retry_of"], record["attempt"], record["priority"]) == (first, 2, "high")
    assert (record["timeout"], record["worker"]["name"]) == (5400, "builder")
    assert (record["status"], record["tags"]) == ("ERROR", ["nightly"])
    assert farm.job(first)["status"] == "ERROR"
    done = farm.home.img("retry", farm.submit(quick))
    assert (done.code, "has not ended" in done.err) == (2, True)


# --- workers


def test_the_queue_shows_what_waits_and_what_runs_where(farm: Farm, slow: Path, quick: Path) -> None:
    with farm.worker("builder", "--slots=1"):
        running = farm.submit(slow)
        farm.until(running, "BUILDING")
        waiting = farm.submit(quick)
        done = farm.home.img("queue")
        assert done.code == 0
        assert re.search(r"jobs waiting 1, workers with room 0$", done.out, re.MULTILINE)
        assert f"   1  {waiting}\n" in done.out
        assert re.search(rf"^\S+/builder: \w+.*1 of 1 slots in use\n +{running} ", done.out, re.MULTILINE)
        told = farm.home.img("queue", "--json").record
        (worker,) = (each for each in told["workers"] if each["queue"] == "imager.build")
        assert [each["image_id"] for each in worker["held"]] == [running]
        assert told["statuses"]["consumers"] == 1
        assert farm.home.img("cancel", running, waiting).code == 0


def test_it_is_said_when_nobody_keeps_records_or_builds(broker: Node, tmp_path: Path, repository: Path) -> None:
    farm = Farm(broker, tmp_path)
    assert "`img keeper`" in farm.home.img("queue").err
    path = farm.home.kickstart(small.kickstart(repository))
    waiting = Running(farm.home, "submit", path, "--type=fs", "--wait")
    waiting.wait_for("in queue")
    waiting.signal(signal.SIGINT)
    assert waiting.ended() == 130
    assert {"`img worker`", "`img keeper`"} <= set(re.findall(r"`img \w+`", waiting.said.read_text()))


def test_workers_are_paused_resumed_and_drained_by_name(farm: Farm, quick: Path) -> None:
    with farm.worker("one") as one, farm.worker("two") as two:
        (answer,) = farm.home.img("worker", "pause", "one", "--json").record
        assert (answer["worker"], answer["state"]) == ("one", "paused")
        jobs = [farm.submit(quick) for _ in range(3)]
        assert {farm.until(each, "DONE")["worker"]["name"] for each in jobs} == {"two"}
        assert re.search(r"/two: paused", farm.home.img("worker", "pause").out)
        paused = farm.submit(quick)
        time.sleep(1)
        assert farm.job(paused)["status"] == "IN QUEUE"
        assert farm.home.img("worker", "resume", "one").code == 0
        assert farm.until(paused, "DONE")["worker"]["name"] == "one"
        assert farm.home.img("worker", "drain", "two").code in (0, 1)
        assert two.ended(10) == 0
        assert one.process.poll() is None
        done = farm.home.img("worker", "drain", "three")
        assert (done.code, done.out) == (1, "") and "no worker three answers" in done.err
        # Who keeps the records is no worker.
        assert "keeper" not in farm.home.img("worker", "pause").out


def test_ctrl_c_has_a_worker_wait_for_its_build_and_again_cancels_it(farm: Farm, slow: Path) -> None:
    with farm.worker("builder") as worker:
        image_id = farm.submit(slow)
        farm.until(image_id, "BUILDING")
        worker.signal(signal.SIGINT)
        worker.wait_for(f"waiting for {image_id}; Ctrl-C again cancels it")
        waiting = farm.submit(slow)
        time.sleep(1)
        assert worker.process.poll() is None
        worker.signal(signal.SIGINT)
        assert worker.ended(15) == 130
        assert farm.until(image_id, "CANCELLED")["error"].startswith("the job was cancelled by Ctrl-C")
        assert farm.job(waiting)["status"] == "IN QUEUE"


def test_a_worker_that_is_ended_finds_its_build_again(farm: Farm, slow: Path) -> None:
    with farm.worker("builder") as worker:
        image_id = farm.submit(slow)
        farm.until(image_id, "BUILDING")
        (build,) = until("a build", lambda: _builds(worker, image_id))
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        assert _builds(worker, image_id) == [build]
    with farm.worker("builder"):
        (sleep,) = until("it sleeps", lambda: _sleeping(build))
        sleep.terminate()
        record = farm.until(image_id, "DONE")
    assert record["worker"]["pid"] == build


def test_two_workers_of_one_machine_have_names_of_their_own(farm: Farm) -> None:
    machine = farm.machine("machine")
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(farm.running(machine, "worker", "--slots=1"))
        told = farm.home.img("queue", "--json").record
        assert sorted(each["worker"] for each in told["workers"]) == ["update_image_status", "worker-1", "worker-2"]
        done = machine.img("worker", "--name=worker-2")
        assert (done.code, "worker-2 runs already" in done.err) == (2, True)


def _builds(worker: Running, image_id: str) -> list[int]:
    """The processes that build the job on the worker's machine."""
    record = json.loads((worker.home.spool / "jobs" / image_id / "job.json").read_bytes())
    pid = record["worker"]["pid"]
    try:
        return [pid] if image_id in psutil.Process(pid).cmdline() else []
    except psutil.NoSuchProcess:
        return []


def _sleeping(build: int) -> list[psutil.Process]:
    """What holds up the build."""
    return [each for each in psutil.Process(build).children(recursive=True) if each.name() == "sleep"]


# --- the document


def test_what_the_document_tells_to_type_works(broker: Node, tmp_path: Path, repository: Path) -> None:
    document = Document("docs/farm.md")
    etc = tmp_path / "etc"
    etc.mkdir()
    with office.made(broker, "farm", "imager"):
        told = office.root(document.take("img setup broker"), broker, etc)
        assert "amqp_host = broker.example.org" in told[0]
    commands = [command.text.removeprefix("img ") for block in document.rest() for command in block.commands]
    farm = Farm(broker, tmp_path)
    for name in ("device.ks", "other.ks"):
        farm.home.kickstart(small.kickstart(repository), name)
    with ExitStack() as stack:
        for command in map(str.split, commands):
            if command[0] == "keeper" or command[:2] == ["worker", "--slots"]:
                stack.enter_context(farm.running(farm.home, *command))
            else:
                done = farm.home.img(*command, directory=farm.home.path)
                assert done.code == 0, (command, done.err)
        until("all is built", lambda: {each["status"] for each in farm.home.records()} == {"DONE"})
    assert len(commands) >= 10
