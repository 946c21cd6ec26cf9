# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves the units where systemd runs them: a machine of its own, with a broker on another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.with_apt import base, configure
from tests.support import example
from tests.support.booted import GATEWAY, Booted, prepare
from tests.support.broker import broker
from tests.support.clean_root import Base
from tests.support.rabbitmq import Node

__all__ = ["base", "broker"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

PACKAGES = ("imager-build-image", "imager-build-ks", "imager-creator", "imager-report", "imager-request-image")
IMG = "setpriv --reuid=imager --regid=imager --init-groups --reset-env img"


@pytest.fixture(scope="module")
def machine(base: Base, broker: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with base.root("booted") as root:
        root.install(*PACKAGES, "imager-update-image-status")
        configure(root, broker, f"{GATEWAY}:{broker.port}")
        root.copy(Path(example.repository()), "/opt/tiny")
        root.copy(example.EXAMPLE / "tiny.ks", "/opt/tiny.ks")
        prepare(root)
    with Booted(root, tmp_path_factory.mktemp("machine")) as made:
        made.expect("^a shell is there$", 900)
        yield made


@pytest.mark.parametrize(
    "unit", ["imager-build-ks", "imager-request-image", "img-keeper", "img-worker@one", "imager-build-image"]
)
def test_a_unit_is_up_when_it_takes_workitems(machine: Booted, unit: str) -> None:
    machine.ask(f"systemctl start {unit}")
    shown = machine.ask(f"systemctl show -p ActiveState -p StatusText -p NRestarts {unit}")
    assert "ActiveState=active" in shown
    assert "StatusText=taking workitems from " in shown


def test_one_queue_is_taken_by_one_of_two_units(machine: Booted) -> None:
    machine.ask("systemctl start imager-update-image-status")
    assert machine.ask("systemctl is-active img-keeper || :") == "inactive\n"
    machine.ask("systemctl start img-keeper")
    assert machine.ask("systemctl is-active imager-update-image-status || :") == "inactive\n"


def test_a_worker_s_unit_builds_the_example_the_report_s_shows_it_and_a_hook_is_told(machine: Booted) -> None:
    hook = 'printf "#!/bin/sh\\ntouch /var/lib/imager/spool/told\\n" >/etc/imager/hooks.d/tell'
    machine.ask(f"mkdir -p /etc/imager/hooks.d; {hook}; chmod 755 /etc/imager/hooks.d/tell")
    machine.ask("systemctl start img-notify; sleep 15")
    tokens = "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi"
    machine.ask(f"{IMG} submit /opt/tiny.ks --type fs --arch x86_64 --tokenmap {tokens} --wait --quiet 2>&1")
    assert '"status": "DONE"' in machine.ask(f"{IMG} jobs --json")
    machine.ask("systemctl start img-report")
    assert machine.ask("grep -c tiny /var/lib/imager/report/index.html") != "0\n"
    machine.ask("for second in $(seq 60); do [ ! -e /var/lib/imager/spool/told ] || break; sleep 1; done")
    assert machine.ask("stat -c %U /var/lib/imager/spool/told") == "imager\n"
    assert machine.ask("systemctl show -p NRestarts --value img-notify") == "0\n"


def test_a_worker_that_was_killed_is_started_again_and_one_that_is_told_to_end_is_not(machine: Booted) -> None:
    machine.ask("systemctl kill --signal=KILL img-worker@one; sleep 1")
    machine.ask("until systemctl -q is-active img-worker@one; do sleep 1; done")
    assert machine.ask("systemctl show -p NRestarts --value img-worker@one") == "1\n"
    machine.ask(f"{IMG} worker drain one; while systemctl -q is-active img-worker@one; do sleep 1; done; sleep 12")
    assert (
        machine.ask("systemctl show -p ActiveState -p Result img-worker@one")
        == "Result=success\nActiveState=inactive\n"
    )


def test_a_mistake_in_the_configuration_is_told_once(machine: Booted) -> None:
    machine.ask("systemctl stop imager-build-ks; mv /etc/skynet/password /etc/skynet/elsewhere")
    machine.ask("systemctl start imager-build-ks || :; sleep 12")
    shown = machine.ask("systemctl show -p Result -p ExecMainStatus -p NRestarts imager-build-ks")
    assert shown == "Result=exit-code\nNRestarts=0\nExecMainStatus=2\n"
    assert "/etc/skynet/password cannot be read" in machine.ask("journalctl -u imager-build-ks -o cat | tail -n 20")
