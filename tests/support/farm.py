# SPDX-License-Identifier: GPL-2.0-or-later
"""A farm without an engine, as its users have it: a vhost of the broker, homes as machines, and `img` in them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.img import Home
from tests.support.rabbitmq import Node

__all__ = ["Farm", "Running", "until"]

_vhosts = itertools.count(1)


def until(what: str, true: Callable[[], Any], within: float = 120) -> Any:
    """Wait until something is true, and return that."""
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, f"{what}: not within {within} s"
        time.sleep(0.05)
    return found


class Running:
    """An `img` that goes on; what it says goes to a file."""

    def __init__(self, home: Home, *arguments: str | Path) -> None:
        self.home = home
        self.said = home.path / f"{arguments[0]}.output"
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                # Background jobs of a shell, such as these tests perhaps, have SIGINT ignored.
                ["env", "--default-signal=INT", *home.command(*arguments)],
                env=home.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> None:
        """Wait until it has said that."""
        until(f"{text!r} in {self.said}", lambda: text in self.said.read_text() or self.process.poll() is not None)
        assert text in self.said.read_text(), self.said.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within: float = 120) -> int:
        """The exit code."""
        return self.process.wait(within)


class Farm:
    """The broker's part that is this farm's, and a home where jobs are submitted."""

    def __init__(self, node: Node, place: Path) -> None:
        self._node, self._place = node, place
        self.vhost = f"farm-{os.getpid()}-{next(_vhosts)}"
        node.control("add_vhost", self.vhost)
        self.allow(".*")
        self.home = self.machine("office")

    def allow(self, queues: str) -> None:
        """Let who uses the farm declare and write to queues of these names alone."""
        self._node.control("set_permissions", "-p", self.vhost, "guest", queues, queues, ".*")

    @property
    def broker(self) -> str:
        """What `--broker` is given."""
        return f"{self._node.address}/{self.vhost}"

    def machine(self, name: str) -> Home:
        """A home whose skynet.conf says which broker."""
        home = Home(self._place / name)
        conf = home.path / ".config/skynet/skynet.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(
            f"[boss]\namqp_host = {self._node.address}\namqp_user = guest\namqp_pwd = guest\n"
            f"amqp_vhost = {self.vhost}\n[skynet]\nstop_timeout = 1\n"
        )
        conf.chmod(0o600)
        return home

    @contextmanager
    def running(self, home: Home, *arguments: str | Path) -> Iterator[Running]:
        """An `img` worker or keeper that takes messages, ended with the `with`."""
        made = Running(home, *arguments)
        try:
            made.wait_for("taking workitems")
            yield made
        except BaseException:
            # pytest shows it with the failure.
            for path in (made.said, *home.spool.glob("jobs/*/build*")):
                print(f"--- {path}", path.read_text(errors="replace"), sep="\n")
            raise
        finally:
            if made.process.poll() is None:
                made.signal(signal.SIGTERM)
                made.ended()

    @contextmanager
    def keeper(self) -> Iterator[Running]:
        """Who keeps the records of `home`."""
        with self.running(self.home, "keeper") as made:
            yield made

    @contextmanager
    def worker(self, name: str = "worker-1", *options: str) -> Iterator[Running]:
        """A worker on a machine of its own."""
        with self.running(self.machine(f"machine of {name}"), "worker", "--name", name, *options) as made:
            yield made

    def submit(self, kickstart: Path, *options: str | Path) -> str:
        """Submit a job; its id."""
        done = self.home.img("submit", kickstart, "--type=fs", *options)
        assert done.code == 0, done.err
        return done.out.strip()

    def job(self, image_id: str) -> dict[str, Any]:
        """The record, where jobs are submitted."""
        found: dict[str, Any] = json.loads((self.home.spool / "jobs" / image_id / "job.json").read_bytes())
        return found

    def until(self, image_id: str, *statuses: str, within: float = 120) -> dict[str, Any]:
        """Wait until the record has one of the states."""
        until(f"{image_id} {statuses}", lambda: self.job(image_id)["status"] in statuses, within)
        return self.job(image_id)

    def waiting(self) -> int:
        """How many jobs the broker has."""
        done = self.home.img("queue", "--json", "--within=0.1")
        return int(done.record["jobs"]["waiting"])
