# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/builds/builds.py and imgcore/builds/builder.py with real processes and sandboxes."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from imgcore import process, request
from imgcore.builds import Builds
from imgcore.builds.cancelling import cancel
from imgcore.config import to_json
from imgcore.errors import InputError
from imgcore.job import Job, Status
from imgcore.spool import Spool
from tests.support import slow

pytestmark = pytest.mark.real


class Bench:
    """A spool with one job, and its build in a thread of the test."""

    def __init__(self, place: Path) -> None:
        self.config = slow.configuration(place)
        self.spool = Spool(self.config.spool)
        self.heard: list[Job] = []
        self.thread: threading.Thread | None = None
        self.ended: Job | None = None
        self.ended_at: datetime | None = None

    def add(self, *lines: str, seconds: float = 0) -> str:
        text = slow.kickstart(seconds, *lines)
        self.wanted = request.parse({"kickstart": text, "name": "n", "arch": "x86_64", "image_type": "loop"})
        return self.spool.create(self.wanted.job("id"), kickstart=text.encode()).image_id

    def run(self) -> Job:
        self.ended = Builds(self.config, self.spool, "w1").run("id", self.wanted, self.heard.append)
        self.ended_at = datetime.now(UTC)
        return self.ended

    def begin(self) -> Job:
        """Begin; the job when its tool runs."""
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return slow.when_building(self.spool, "id")

    def end(self) -> Job:
        assert self.thread
        self.thread.join(30)
        assert self.ended and self.ended_at
        return self.ended

    @property
    def states(self) -> list[str]:
        return [each["to"] for each in self.spool.history("id")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def of_this_job(place: Path) -> list[psutil.Process]:
    """The processes that have the spool or its images on their command lines."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if any(str(place) in word for word in each.info["cmdline"] or ()) and each.pid != os.getpid()
    ]


def test_a_build_runs_in_a_process_of_its_own_and_its_end_is_heard_at_once(bench: Bench) -> None:
    bench.add(seconds=0.5)
    job = bench.begin()
    assert job.worker["pid"] != os.getpid()
    assert os.getsid(job.worker["pid"]) == job.worker["pid"]
    assert job.worker["name"] == "w1"
    ended = bench.end()
    assert (ended.status, ended.error) == (Status.DONE, "")
    assert bench.ended_at and (bench.ended_at - datetime.fromisoformat(ended.finished_at)).total_seconds() < 1
    assert bench.heard[0].status is Status.BUILDING
    assert not (bench.spool.directory("id") / "builder.err").exists()


def test_progress_is_heard_every_two_seconds(bench: Bench) -> None:
    bench.add(seconds=3)
    began = time.monotonic()
    bench.run()
    assert bench.heard[-1].phase == "install"
    assert 2 <= len(bench.heard) <= (time.monotonic() - began) / 2 + 1


def test_a_build_that_fails_has_the_reason_of_the_tool(bench: Bench) -> None:
    bench.add("# fail")
    assert bench.run().error_cause == "package-missing"


def test_what_is_built_is_on_no_command_line(bench: Bench) -> None:
    bench.add("# secret-of-the-kickstart", seconds=1)
    job = bench.begin()
    words = psutil.Process(job.worker["pid"]).cmdline()
    bench.end()
    assert words[-2:] == ["imgcore.builds.builder", "id"]
    assert not any("secret" in word for word in words)


def test_a_build_outlives_who_started_it_and_is_waited_for_by_the_next(bench: Bench, tmp_path: Path) -> None:
    bench.add(seconds=2)
    script = (
        "import sys\nfrom imgcore import config, request\nfrom imgcore.builds import Builds\n"
        "from imgcore.spool import Spool\nsettings = config.from_json(sys.argv[1])\nspool = Spool(settings.spool)\n"
        "wanted = request.parse(request.image_fields(spool.read('id'), spool.kickstart('id')))\n"
        "Builds(settings, spool).run('id', wanted, print)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, to_json(bench.config)],
        stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as first:  # fmt: skip
        began = slow.when_building(bench.spool, "id")
        first.kill()
    assert bench.spool.alive("id")
    ended = bench.run()
    assert (ended.status, ended.worker) == (Status.DONE, began.worker)
    assert bench.states == ["IN QUEUE", "BUILDING", "DONE"]
    assert bench.ended_at and (bench.ended_at - datetime.fromisoformat(ended.finished_at)).total_seconds() < 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_build_whose_process_dies_is_begun_again(bench: Bench, number: signal.Signals) -> None:
    bench.add(seconds=1)
    os.kill(bench.begin().worker["pid"], number)
    assert bench.end().status is Status.DONE
    assert bench.states == ["IN QUEUE", "BUILDING", "IN QUEUE", "BUILDING", "DONE"]


def test_a_build_that_dies_again_and_again_is_an_error(bench: Bench) -> None:
    bench.add(seconds=2)
    first = bench.begin().worker["pid"]
    os.kill(first, signal.SIGKILL)
    slow.until(lambda: bench.spool.read("id").worker.get("pid") not in (None, first))
    os.kill(bench.spool.read("id").worker["pid"], signal.SIGKILL)
    ended = bench.end()
    assert (ended.status, ended.error_cause) == (Status.ERROR, "killed")
    assert f"process {ended.worker['pid']}" in ended.error


def test_a_build_is_not_begun_again_where_the_configuration_says_so(bench: Bench) -> None:
    bench.config = dataclasses.replace(bench.config, restarts=0)
    bench.add(seconds=2)
    os.kill(bench.begin().worker["pid"], signal.SIGKILL)
    assert bench.end().status is Status.ERROR
    assert bench.states == ["IN QUEUE", "BUILDING", "ERROR"]


def test_a_cancel_ends_the_build_within_a_moment_and_the_record_says_who_and_why(
    bench: Bench, tmp_path: Path
) -> None:
    bench.add(seconds=60)
    worker = bench.begin().worker
    began = time.monotonic()
    cancel(bench.spool, "id", "me", "it is Friday")
    ended = bench.end()
    assert time.monotonic() - began < 10
    assert (ended.status, ended.error) == (Status.CANCELLED, "the job was cancelled by me: it is Friday")
    assert bench.spool.history("id")[-1]["who"] == "me"
    assert ended.resources["wall_seconds"] > 0
    assert not process.is_alive(worker)
    assert of_this_job(tmp_path) == []


def test_a_build_that_cannot_be_signalled_reads_of_the_cancel_in_its_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add(seconds=60)
    bench.begin()

    def forbidden(worker: object) -> bool:
        raise PermissionError

    monkeypatch.setattr(process, "end", forbidden)
    began = time.monotonic()
    cancel(bench.spool, "id")
    assert bench.end().status is Status.CANCELLED
    assert time.monotonic() - began < 10


def test_a_process_that_ends_before_it_begins_does_not_leave_the_job_in_the_queue(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no room for python >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    bench.add()
    ended = bench.run()
    assert ended.status is Status.ERROR
    assert ended.error == "the process of the build ended before it began: no room for python"
    assert bench.states == ["IN QUEUE", "ERROR"]


def test_a_job_that_another_machine_builds_is_not_begun_here(bench: Bench) -> None:
    bench.add()
    with bench.spool.edit("id") as edit:
        edit.move(Status.BUILDING, worker={"host": "elsewhere", "pid": 1})
    with pytest.raises(InputError, match="BUILDING on elsewhere"):
        bench.run()


def test_a_job_of_this_worker_whose_process_died_is_built_also_where_the_machine_has_another_name_now(
    bench: Bench,
) -> None:
    bench.add()
    with bench.spool.edit("id") as edit:
        edit.move(Status.BUILDING, worker={"host": "as it was called", "pid": 1, "name": "w1"})
    assert bench.run().status is Status.DONE
    assert bench.states == ["IN QUEUE", "BUILDING", "IN QUEUE", "BUILDING", "DONE"]


def test_two_who_see_to_the_same_job_build_it_once(bench: Bench) -> None:
    bench.add(seconds=1)
    threads = [threading.Thread(target=bench.run) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert bench.states == ["IN QUEUE", "BUILDING", "DONE"]
