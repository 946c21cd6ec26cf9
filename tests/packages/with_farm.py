# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves the farm of docs/install.md: its commands, as they stand there, on machines with our packages alone.

A machine is a root with a name of its own; all are in one network, which has nothing else. There is no systemd: what
is enabled is given to supervisor, and other packages' services are started by hand.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.packages.with_apt import base
from tests.support import checkout, example, page
from tests.support.clean_root import Base, Root

__all__ = ["base"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

PAGE = checkout.ROOT / "docs/install.md"
#: Stands for a network with secure shell: what the broker's machine has is below /opt/broker.
_SSH = """#!/bin/sh -e
[ "$1 $2" = "root@broker.example.org cat" ]
exec cat "/opt/broker$3"
"""
_HOSTS = "127.0.0.1 localhost broker broker.example.org images images.example.org worker1 worker2 worker3\n"
_TOKENS = ("--type", "fs", "--arch", "x86_64", "--tokenmap", "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi")
_WORKERS = ("worker1", "worker2", "worker3")


class Document:
    """The blocks of commands of the section, one after the other, each to be run once."""

    def __init__(self, heading: str) -> None:
        self._blocks = page.commands(PAGE, heading)

    def take(self, beginning: str) -> list[str]:
        """The next block, which must begin like this; its commands, all root's."""
        block = self._blocks.pop(0)
        assert block[0].startswith(f"# {beginning}"), block
        assert all(line.startswith("# ") for line in block)
        return [line.removeprefix("# ") for line in block]

    def end(self) -> None:
        assert self._blocks == [], "nobody has run these"


class Farm:
    """The machines; `services` are what runs on them."""

    def __init__(self, base: Base, stack: ExitStack) -> None:
        self._base, self._stack = base, stack
        self.document = Document("A farm")
        command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stack.callback(holder.wait)
        stack.callback(holder.kill)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        self._network = holder.pid
        self._logs: list[Path] = []

    def installed(self, name: str, commands: list[str]) -> Root:
        """A root, closed again, in which `apt install` was done, and some way to start services."""
        root = self._base.root(f"{name} installed")
        with root:
            packages = [word for line in commands for word in line.removeprefix("apt install ").split()]
            root.install("supervisor", "sudo", "iproute2", *packages)
        return root

    def machine(self, name: str, over: Root) -> Root:
        root = self._stack.enter_context(self._base.root(name, over))
        root.join(self._network)
        root.run("hostname", name)
        root.write("/etc/hosts", _HOSTS)
        return root

    def start(self, root: Root, *command: str) -> None:
        """Something that stays until the end."""
        started, environment = root.command(*command)
        log = root.place / f"log of {command[0]}"
        self._logs.append(log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                started, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._stack.callback(process.wait, 60)
        self._stack.callback(process.terminate)

    def enable(self, root: Root, commands: list[str]) -> list[str]:
        """What `systemctl enable --now` says, by supervisor; the programs."""
        units = [unit for line in commands for unit in line.removeprefix("systemctl enable --now ").split()]
        programs = [unit.partition("@")[0].removesuffix(".timer") for unit in units]
        for each in programs:
            root.run("ln", "-s", f"/usr/share/imager/supervisor/{each}.conf", "/etc/supervisor/conf.d/")
        self.start(root, "supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf")
        return programs

    def said(self) -> str:
        return "\n".join(f"{log}:\n{log.read_text(errors='replace')}" for log in self._logs)


def until(what: str, true: Callable[[], Any], within: float = 60) -> Any:
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, f"{what}: not within {within} s"
        time.sleep(0.5)
    return found


def fine(root: Root, *command: str) -> bool:
    return root.run(*command, check=False).returncode == 0


def _all_run(root: Root, count: int) -> bool:
    return root.run("supervisorctl", "status", check=False).stdout.count(" RUNNING ") == count


@pytest.fixture(scope="module")
def farm(base: Base) -> Iterator[dict[str, Root]]:
    """All of the section, up to where jobs are submitted."""
    with ExitStack() as stack:
        made = Farm(base, stack)
        document = made.document
        # ---- the broker
        block = document.take("apt install rabbitmq-server")
        broker = made.machine("broker", made.installed("broker", block[:1]))
        made.start(broker, "rabbitmq-server")
        until("RabbitMQ", lambda: fine(broker, "rabbitmqctl", "-q", "await_startup", "--timeout", "1"), 120)
        for line in block[1:]:
            broker.run("sh", "-c", line)
        # ---- the others
        office = made.machine("images", made.installed("images", document.take("apt install imager-update-image")))
        builder = made.installed("worker", document.take("apt install imager-build-image"))
        machines = {"images": office, **{name: made.machine(name, builder) for name in _WORKERS}}
        told = document.take("ssh root@broker.example.org")
        files = {path: broker.run("cat", path).stdout for path in ("/etc/skynet/skynet.conf", "/etc/skynet/password")}
        for root in machines.values():
            root.run("mkdir", "-p", "/opt/broker/etc/skynet")
            for path, text in files.items():
                root.write(f"/opt/broker{path}", text, "600")
            root.write("/usr/local/bin/ssh", _SSH, "755")
            for line in told:
                root.run("sh", "-c", line)
        # ---- what runs
        programs = {"images": made.enable(office, document.take("systemctl enable --now img-keeper"))}
        office.write("/etc/nginx/conf.d/imager.conf", page.blocks(PAGE, "One machine", "nginx")[0])
        made.start(office, "nginx", "-g", "daemon off;")
        block = document.take("systemctl enable --now img-worker@")
        for name in _WORKERS:
            programs[name] = made.enable(machines[name], block)
        for name, expected in programs.items():
            until(f"the programs of {name}", partial(_all_run, machines[name], len(expected)))
        for root in machines.values():
            root.copy(Path(example.repository()), "/opt/tiny")
            root.copy(example.EXAMPLE / "tiny.ks", "/device.ks")
        yield {"broker": broker, **machines}


@pytest.fixture(scope="module")
def records(farm: dict[str, Root]) -> list[dict[str, Any]]:
    """The section's last block, with three jobs at once in the place of one, and the records of these."""
    document = Document("A farm")
    block = []
    while not block or "img submit" not in block[0]:
        block = document._blocks.pop(0)
    document.end()
    submit, *looks = (line.removeprefix("# ") for line in block)
    submit = submit.replace("device.ks", f"/device.ks {' '.join(_TOKENS)} --name job$number")
    at_once = f"for number in 1 2 3; do {submit} & done; wait"
    farm["images"].run("sh", "-c", at_once)
    for line in looks:
        assert farm["images"].run("sh", "-c", line).stdout
    said = farm["images"].run("img", "jobs", "--json", user="imager").stdout
    return [json.loads(line) for line in said.splitlines()]


def test_jobs_that_are_submitted_are_built_by_the_workers(records: list[dict[str, Any]]) -> None:
    assert [each["status"] for each in records] == ["DONE"] * 3
    assert {each["worker"]["host"] for each in records} <= set(_WORKERS)


def test_every_worker_is_known_where_jobs_are_submitted(farm: dict[str, Root], records: list[dict[str, Any]]) -> None:
    told = json.loads(farm["images"].run("img", "queue", "--json", user="imager").stdout)
    assert {each["host"] for each in told["workers"]} >= set(_WORKERS)


def test_nginx_shows_the_pages_of_the_jobs(farm: dict[str, Root], records: list[dict[str, Any]]) -> None:
    read = "import urllib.request as r; print(r.urlopen('http://images.example.org/').read().decode())"
    newest = records[0]["image_id"]
    until("the page", lambda: newest in farm["images"].run("python3", "-c", read).stdout, 90)


def test_nobody_but_root_and_the_services_reads_the_password_and_it_opens_no_more_than_the_farm(
    farm: dict[str, Root],
) -> None:
    for name in ("images", *_WORKERS):
        assert farm[name].run("stat", "-c", "%a %U:%G", "/etc/skynet/password").stdout == "640 root:imager\n"
    said = farm["broker"].run("rabbitmqctl", "-q", "list_permissions", "-p", "farm", "--no-table-headers").stdout
    assert [line.split("\t")[0] for line in said.splitlines()] == ["imager"]
    assert ".*\t" not in said.replace(r"skynet\.", "")
