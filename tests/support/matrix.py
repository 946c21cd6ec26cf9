# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers with a job each, every one at another point of its way when something fails: what is true afterwards.

A worker is a machine: a spool, images, a journal and a host of `build_image` that passes a gate. A job is right if it
was built to the end once, everybody was told the same, in order, and nothing waits anywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import psutil

from tests.support.engine import Engine
from tests.support.faults_gate import Gate
from tests.support.rabbitmq import Node

__all__ = ["Host", "Job", "Matrix", "wait_until"]

_ROOT = Path(__file__).parents[2]
_DRIVER = "tests.support.faults_host"
_STATUS_QUEUE = "update_image_status"
_FINAL = ("DONE", "ERROR", "CANCELLED")


def wait_until(true: Callable[[], object], what: Callable[[], str], within: float = 60) -> None:
    """Wait until it is so. Fails with `what` where it does not become so."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"after {within:g} s: {what()}"
        time.sleep(0.02)


class Host:
    """A worker's machine, and its process; `who` is its queue, and what the gate knows it as."""

    def __init__(self, place: Path, who: str, address: str, gate: str, *, engine: bool) -> None:
        self.place = place
        self.place.mkdir(parents=True)
        self.journal, self.spool, self.images = (place / each for each in ("journal", "spool", "images"))
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "IMAGER_SPOOL"},
            "HOME": str(place),
            "SKYNET_CONFIG_DIR": str(place),
            "IMAGER_CONFIG": str(place / "imager.conf"),
            "FAULTS_GATE": gate,
            "FAULTS_WHO": who,
        }
        (place / "skynet.conf").write_text(
            f"[boss]\namqp_host = {address}\namqp_user = guest\namqp_pwd = guest\namqp_vhost = /\n"
        )
        (place / "own.conf").write_text(
            f"[participant]\nname = {place.name}\nqueue = {who}\ncode = {_ROOT}/participants/build_image.py\n"
            f"journal = {self.journal}\nslots = 1\n"
            + ("" if engine else "engine = no\npriorities = yes\n")
            # The end of the process waits for nothing.
            + "[skynet]\nstop_timeout = 0\n"
        )
        (place / "imager.conf").write_text(
            f"[imager]\nspool = {self.spool}\nbase_dir = {self.images}\ncache = {place}/cache\nexecutor = direct\n"
            f"tool = noted\n[tool noted]\ncommand = /usr/bin/python3 {_ROOT}/tests/support/faults_tool.py\n"
            "[worker]\nfree_memory = 0\nfree_disk = 0\n"
        )

    @property
    def log(self) -> str:
        """What the process said."""
        return (self.place / "log").read_text()

    def start(self) -> None:
        """Start the process, perhaps again."""
        with (self.place / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", _DRIVER, "host", str(self.place / "own.conf")],
                cwd=_ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self) -> None:
        """Wait until it takes workitems."""
        wait_until(lambda: "taking workitems" in self.log, lambda: f"{self.place.name} is not ready:\n{self.log}")

    def kill(self, *, builds: bool) -> None:
        """SIGKILL to the process, and with `builds` to those in which it builds."""
        assert self.process
        self.process.kill()
        self.process.wait(10)
        victims = self._builds() if builds else []
        for each in victims:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(victims, 10)

    def _builds(self) -> list[psutil.Process]:
        found = []
        for each in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                words = each.info["cmdline"] or []
                if _DRIVER in words and "build" in words and each.environ().get("HOME") == str(self.place):
                    found.append(each)
        return found

    def end(self) -> None:
        """End the process, if it runs."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        assert self.process
        return self.process.wait(30)

    def records(self) -> list[dict[str, Any]]:
        """What its spool has."""
        return [json.loads(each.read_bytes()) for each in self.spool.glob("jobs/*/job.json")]

    def waiting(self) -> list[str]:
        """What its journal has still to do, or has refused."""
        places = (self.journal / name for name in ("inbox", "outbox", "refused"))
        return [f"{each.parent.name}/{each.name}" for place in places if place.is_dir() for each in place.iterdir()]

    def history(self, image_id: str) -> list[str]:
        """The states that the job came to."""
        lines = (self.spool / "jobs" / image_id / "events.jsonl").read_text().splitlines()
        return [json.loads(each)["to"] for each in lines]


class Job:
    """A job that `hosts` could build; its name is the queue's, and what the gate knows all of it as.

    `by_engine`: it came from an engine, which is answered; otherwise as `img submit` sends it, and nobody is.
    """

    def __init__(self, name: str, point: str, hosts: list[Host], *, by_engine: bool) -> None:
        self.name, self.point, self.hosts, self.by_engine = name, point, hosts, by_engine
        #: Its process, and what recognises its step.
        self.wfid = self.key = ""

    @property
    def holder(self) -> Host:
        """Who has it when it is at its point."""
        return self.hosts[0]

    def records(self) -> list[dict[str, Any]]:
        """What the machines have recorded of it."""
        return [record for host in self.hosts for record in host.records()]

    def built(self) -> bool:
        """Whether a record says how it ended."""
        return any(record["status"] in _FINAL for record in self.records())

    def over(self) -> bool:
        """Whether it is built and nothing waits."""
        return self.built() and not any(host.waiting() for host in self.hosts)

    def told(self) -> str:
        """How it is, for a failed test."""
        states = [f"{record['image_id']} {record['status']} {record['error']}" for record in self.records()]
        waiting = [host.waiting() for host in self.hosts]
        logs = "\n---\n".join(host.log[-3000:] for host in self.hosts if host.process)
        return f"{self}: {self.name}: records {states}, journals {waiting}\n{logs}"

    def __str__(self) -> str:
        return f"{'from an engine' if self.by_engine else 'submitted'}, at {self.point!r}"


class Matrix:
    """The jobs and their workers."""

    def __init__(self, node: Node, gate: Gate, place: Path, engine: Engine) -> None:
        self.node, self.gate, self.place, self.engine = node, gate, place, engine
        self.jobs: list[Job] = []

    def add(
        self, point: str, *, by_engine: bool, workers: int = 1, address: str = "", persistent: bool = False
    ) -> None:
        """A job that waits in its queue, and those that can build it.

        The first of them comes to `point` and waits there; `address` is where that one finds the broker.
        """
        name = f"matrix_{os.getpid()}_{time.monotonic_ns()}"
        hosts = [
            Host(
                self.place / f"{name}-{number}", name, (not number and address) or self.node.address,
                self.gate.address, engine=by_engine,
            )
            for number in range(workers)
        ]  # fmt: skip
        job = Job(name, point, hosts, by_engine=by_engine)
        self.gate.hold(name, point)
        self.jobs.append(job)
        image = {
            "name": name, "arch": "x86_64", "image_type": "loop",
            "kickstart": f"# gate: {self.gate.address} {name}\nlang C\n%packages\n%end\n",
        }  # fmt: skip
        if by_engine:
            job.wfid = self.engine.dispatch(name, {"image": image}, persistent=persistent)
            job.key = f"{job.wfid}!fd0f93f7dbe923b6!0_0_1"
        else:
            job.wfid = f"{name}-20261124-000000"
            job.key = f"{job.wfid}!build!0"
            self._submit(job, {**image, "image_id": job.wfid})

    def _submit(self, job: Job, image: dict[str, Any]) -> None:
        """As `img submit` does it."""
        fei = {"engine_id": "imager", "wfid": job.wfid, "subid": "build", "expid": "0"}
        item = {
            "fields": {"image": image, "params": {"forget": True}}, "fei": fei, "participant_name": "build_image"
        }  # fmt: skip
        connection = self.node.connect()
        channel = connection.channel()
        channel.queue_declare(job.name, durable=True, arguments={"x-max-priority": 2})
        channel.confirm_delivery()
        channel.basic_publish("", job.name, json.dumps(item).encode(), pika.BasicProperties(delivery_mode=2))
        connection.close()

    def bring_all_to_their_points(self) -> None:
        """Start the first worker of each job; then, where there are more, those."""
        for job in self.jobs:
            job.holder.start()
        for job in self.jobs:
            try:
                self.gate.wait_for(job.name, job.point)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{job.told()}") from None
        others = [host for job in self.jobs for host in job.hosts[1:]]
        for host in others:
            host.start()
        for host in others:
            host.wait_ready()

    def let_all_go(self) -> None:
        """Nobody waits at a point any more."""
        self.gate.let_go(*(job.name for job in self.jobs))

    def wait_until_over(self) -> None:
        """Wait until every job is built and told, and end the hosts."""
        for job in self.jobs:
            wait_until(partial(self._settled, job), job.told)
        hosts = [host for job in self.jobs for host in job.hosts]
        for host in hosts:
            # Nobody who was away begins it again.
            host.wait_ready()
        for host in hosts:
            host.end()
        for host in hosts:
            assert host.ended() == 0, host.log

    def close(self) -> None:
        """End whatever runs, and have the broker forget it: the more queues it has, the longer it takes to start."""
        self.let_all_go()
        for job in self.jobs:
            for host in job.hosts:
                if host.process:
                    host.kill(builds=True)
        with suppress(pika.exceptions.AMQPError, OSError):
            channel = self.node.connect().channel()
            for job in self.jobs:
                channel.queue_delete(job.name)
                channel.queue_delete(f"skynet.taken.{job.key}")
            channel.connection.close()

    def wrong(self, *, ends: Callable[[str], int]) -> list[str]:
        """What is not as it must be, now that all is over; `ends` of a point: how often the tool ran to its end."""
        messages = self._statuses()
        found = []
        for job in self.jobs:
            faults = list(self._faults(job, messages, ends(job.point)))
            found += [f"{job}: {each}" for each in faults]
            if faults:
                found.append(job.told())
        return found

    def _faults(self, job: Job, messages: list[dict[str, Any]], ends: int) -> list[str]:
        records = job.records()
        if len(records) != 1 or records[0]["status"] != "DONE":
            return [f"not one job that is DONE: {[(each['image_id'], each['status']) for each in records]}"]
        (record,) = records
        (builder,) = (host for host in job.hosts if host.records())
        image_id = record["image_id"]
        replies = self._replies(job) if job.by_engine else []
        told = self._launched(image_id) if job.by_engine else [each for each in messages if _wfid(each) == image_id]
        states = [each["fields"]["image"]["status"] for each in told]
        last = [each for each in told if each["fields"]["image"]["status"] in _FINAL]
        images = [each for host in job.hosts for each in host.images.rglob(f"{image_id}/{job.name}.img")]
        truths = {
            f"the tool ran {ends} times to its end": self.gate.points(job.name).count("build ended") == ends,
            "it became DONE once": builder.history(image_id).count("DONE") == 1,
            "there is one image, as the tool made it": [each.read_bytes() for each in images] == [b"an image"],
            "the step was answered": bool(replies) or not job.by_engine,
            "all its answers are the same": all(each == replies[0] for each in replies),
            "the answer is what the record says": all(
                each["fields"]["image"]["artifacts"] == record["artifacts"] for each in replies
            ),
            "others were told that it is DONE": [each["fields"]["image"]["status"] for each in last[:1]] == ["DONE"],
            "and in the same words each time": all(each == last[0] for each in last),
            "and of nothing else afterwards": states == sorted(states, key="BUILDING".__ne__),
            "nothing is in its queue": self._left(job) == 0,
        }
        return [f"not true: {what}" for what, true in truths.items() if not true]

    def _replies(self, job: Job) -> list[dict[str, Any]]:
        with suppress(TimeoutError):
            return [
                self.engine.answer(job.wfid, within=20),
                *(each for each in self.engine.ignored if _wfid(each) == job.wfid),
            ]
        return []

    def _launched(self, image_id: str) -> list[dict[str, Any]]:
        launched = [json.loads(each) for each in self.engine.launched]
        return [each for each in launched if each["fields"]["image"].get("image_id") == image_id]

    def _statuses(self) -> list[dict[str, Any]]:
        """What waits for whoever keeps the central spool."""
        connection = self.node.connect()
        channel = connection.channel()
        channel.queue_declare(_STATUS_QUEUE, durable=True)
        found = []
        while (body := channel.basic_get(_STATUS_QUEUE, auto_ack=True)[2]) is not None:
            found.append(json.loads(body))
        connection.close()
        return found

    def _settled(self, job: Job) -> bool:
        # What is done is perhaps delivered once more, as soon as there is a free slot, and then answered once more.
        return job.over() and not self._left(job) and job.over()

    def _left(self, job: Job) -> int:
        connection = self.node.connect()
        try:
            return int(connection.channel().queue_declare(job.name, passive=True).method.message_count)
        finally:
            connection.close()


def _wfid(item: dict[str, Any]) -> str:
    return str(item["fei"]["wfid"])
