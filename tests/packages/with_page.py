# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves the short sections of docs/install.md: their commands, as they stand there, on machines with our packages.

There is no systemd: what is enabled is given to supervisor. The farm is proved in with_farm.py, pip in with_pip.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.packages.with_apt import base, changed, configure, running
from tests.packages.with_farm import Document, fine, until
from tests.support import example
from tests.support.broker import broker, engine
from tests.support.clean_root import Base, Root
from tests.support.engine import Engine
from tests.support.rabbitmq import Node

__all__ = ["base", "broker", "engine"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

PARTICIPANTS = {"build_image", "build_ks", "request_image", "update_image_status"}
#: Whoever edits the files that the page names, as it tells.
_EDITOR = """#!/bin/sh -e
[ "$*" = "/etc/skynet/skynet.conf /etc/skynet/password" ]
sed -i 's|^\\(amqp_host =\\) .*|\\1 {host}|; s|^\\(amqp_user =\\) .*|\\1 guest|; s|^\\(amqp_vhost =\\) .*|\\1 /|' "$1"
echo guest >"$2"
"""


def apt_install(root: Root, line: str, *recommended: str) -> None:
    """What `apt install` does; the command must be one. Of what is recommended only what is needed is installed."""
    words = line.split()
    assert words[:2] == ["apt", "install"]
    root.install(*words[2:], *recommended)


def enable(root: Root, line: str) -> list[str]:
    """What `systemctl enable --now` does, by a supervisord that runs; the programs."""
    assert line.startswith("systemctl enable --now ")
    programs = line.removeprefix("systemctl enable --now ").split()
    for each in programs:
        root.run("ln", "-s", f"/usr/share/imager/supervisor/{each}.conf", "/etc/supervisor/conf.d/")
    root.run("supervisorctl", "update")
    return programs


def all_run(root: Root, *programs: str) -> bool:
    said = root.run("supervisorctl", "status", *programs, check=False).stdout
    return said.count(" RUNNING ") == len(programs)


@contextmanager
def supervised(root: Root) -> Iterator[Path]:
    """Its log, while a supervisord runs that takes commands."""
    with running(root, "supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf", user="root") as log:
        until("supervisord", lambda: root.run("supervisorctl", "pid", check=False).stdout.strip().isdigit(), 300)
        yield log


def add_example(root: Root) -> None:
    root.copy(Path(example.repository()), "/opt/tiny")
    root.copy(example.EXAMPLE / "tiny.ks", "/opt/tiny.ks")


def accounts(root: Root) -> str:
    """The users and groups that there are, and their ids."""
    return root.run("sh", "-c", "cat /etc/passwd /etc/group; cat /etc/subuid /etc/subgid 2>/dev/null || :").stdout


def ended(engine: Engine, name: str) -> bool:
    """Whether a process of that name was launched and is over."""
    return any((each.name, each.state) == (name, "ended") for each in list(engine.processes.values()))


def test_with_boss_the_commands_register_four_participants_that_make_the_image_of_a_launched_process(
    base: Base, broker: Node, engine: Engine
) -> None:
    document = Document("With BOSS")
    install, password, edit, check = document.take("apt install imager-build-image")
    with base.root("boss") as root:
        root.install("supervisor", "sudo")
        apt_install(root, install, "imager-creator")
        add_example(root)
        root.run("sh", "-c", password)
        root.write("/usr/local/bin/editor", _EDITOR.format(host=broker.address), "755")
        root.run("sh", "-c", edit)
        assert "warning" not in root.run("sh", "-c", check).stdout
        start, register, status = document.take("systemctl enable --now imager-build-image")
        with supervised(root):
            programs = enable(root, start)
            until("the participants", lambda: all_run(root, *programs), 300)
            assert root.run("sh", "-c", register).stdout.count("registered ") == 4
            until("the registrations", lambda: {*engine.registered} == PARTICIPANTS)
            until("who takes from each queue", lambda: fine(root, "sh", "-c", status), 300)
            said = root.run("sh", "-c", status).stdout
            assert all(f"{name}: 0 waiting, 1 taking" in said for name in PARTICIPANTS), said
            launch, jobs = document.take("skynet launch")
            document.end()
            tokens = "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi"
            image = {"name": "first", "arch": "x86_64", "image_type": "fs", "tokenmap": tokens}
            image["kickstart"] = (example.EXAMPLE / "tiny.ks").read_text()
            root.write("/root/fields.json", json.dumps({"image": image}))
            assert root.run("sh", "-c", launch).stdout == "launched\n"
            until("the process", lambda: ended(engine, "build_with_retry"), 600)
            said = root.run("sh", "-c", jobs).stdout
    assert re.search(r"^first-\S+ +done ", said, re.MULTILINE), said


def test_without_systemd_the_commands_have_supervisor_run_a_worker(base: Base, broker: Node) -> None:
    document = Document("Without systemd")
    install, *commands = document.take("apt install supervisor")
    document.end()
    with base.root("supervisor") as root:
        root.install("imager-build-image")
        configure(root, broker)
        apt_install(root, install)
        with supervised(root):
            for line in commands:
                root.run("sh", "-c", line)
            until("the worker", lambda: all_run(root, "img-worker"), 300)
            said = root.run("skynet", "status", "imager.build", check=False).stdout
            log = root.run("cat", "/var/log/imager/img-worker.log").stdout
    assert "imager.build: 0 waiting, 1 taking" in said, said + log


def test_the_commands_for_removing_leave_the_machine_as_it_was(base: Base) -> None:
    document = Document("Upgrading and removing")
    purge, *commands = document.take("apt purge ")
    document.end()
    with base.root("removed") as root:
        root.install(*root.needed("imager"))
        before, users = root.listing(), accounts(root)
        root.install("imager")
        add_example(root)
        build = ("img", "build", "/opt/tiny.ks", "--type", "fs", "--arch", "x86_64", "--quiet")
        root.run(*build, "--tokenmap", "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi", user="imager")
        root.run("img", "report", user="imager")
        root.write("/etc/skynet/password", "guest\n", "640", "imager")
        root.run("rm", "-r", "/opt/tiny", "/opt/tiny.ks")
        said = root.run("sh", "-c", purge.replace("apt purge", "apt-get -q -y purge")).stdout
        assert "jobs, images, bases and kickstarts are kept in /var/lib/imager" in said
        assert fine(root, "ls", "/var/lib/imager/spool/jobs", "/var/lib/imager/images/requests")
        for line in commands:
            root.run("sh", "-c", line)
        assert changed(before, root.listing()) == {}
        assert accounts(root) == users
