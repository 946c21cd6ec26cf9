# SPDX-License-Identifier: GPL-2.0-or-later
"""`img setup broker`: what it makes at a real RabbitMQ, and that this is enough and no more."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pika.exceptions
import pytest

from imgcore.cli.setup import rights
from imgcore.cli.setup.broker import with_boss
from RuoteAMQP.connection import Broker
from tests.support import small
from tests.support.broker import broker
from tests.support.farm import Running
from tests.support.img import Done, Home
from tests.support.rabbitmq import Node, free_port

__all__ = ["broker"]

ROOT = Path(__file__).parents[3]
_numbers = itertools.count(1)


class Office:
    """A machine with the broker's command, and the directory of its skynet.conf."""

    def __init__(self, node: Node, place: Path) -> None:
        self.etc = place / "etc"
        self.etc.mkdir(parents=True)
        self.node = node
        self.name = f"setup-{os.getpid()}-{next(_numbers)}"
        # Below Debian's wrapper, which would change the user.
        path = f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}"
        environment = {**node.environment, "PATH": path, "SKYNET_CONFIG_DIR": str(self.etc)}
        environment.pop("HOME")
        self.home = Home(place / "home", **environment)
        # The node's cookie, which its command shows, is in its home.
        self.cookie = {"HOME": str(node.place)}

    def setup(self, *options: str) -> Done:
        command = ("setup", "broker", "--vhost", self.name, "--user", self.name, "--host", self.node.address)
        return self.home.img(*command, *options, environment=self.cookie)

    def broker(self) -> Broker:
        password = (self.etc / "password").read_text().strip()
        return Broker.at(self.node.address, user=self.name, password=password, vhost=self.name)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.repository(tmp_path_factory.mktemp("small") / "repository")


@pytest.fixture
def office(broker: Node, tmp_path: Path) -> Iterator[Office]:
    made = Office(broker, tmp_path)
    yield made
    for what in ("vhost", "user"):
        if made.name in broker.control(f"list_{what}s"):
            broker.control(f"delete_{what}", made.name)


def documented(kind: str) -> tuple[str, ...]:
    """The patterns that the documentation has for NAME, and for who controls and launches."""
    text = (ROOT / "docs/participants.md").read_text()
    found = re.search(rf"^# rabbitmqctl set_permissions .*\b{kind} '(.*)' '(.*)' '(.*)'$", text, re.MULTILINE)
    assert found
    return found.groups()


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        *((name, "NAME") for name in ("request_image", "build_ks", "build_image", "update_image_status")),
        ("operator", "OPERATOR"),
        ("launcher", "LAUNCHER"),
    ],
)
def test_a_role_has_the_rights_that_are_documented(role: str, kind: str) -> None:
    assert tuple(vars(rights.of([role])).values()) == tuple(each.replace("NAME", role) for each in documented(kind))


def test_the_rights_of_several_roles_are_all_of_theirs_and_no_others() -> None:
    found = rights.of(rights.FARM)
    assert re.match(found.configure, "imager.build")
    assert re.match(found.write, "skynet.control")
    assert not re.match(found.configure, "imagerXbuild")
    assert not re.match(found.read, "build_ks")


@pytest.mark.real
def test_vhost_user_rights_and_password_are_made_once(office: Office) -> None:
    done = office.setup()
    assert done.code == 0, done.err
    password = (office.etc / "password").read_text().strip()
    assert len(password) >= 32
    assert stat.S_IMODE((office.etc / "password").stat().st_mode) & 0o007 == 0
    assert password not in done.out + done.err
    assert done.out.splitlines() == [
        "[boss]",
        f"amqp_host = {office.node.address}",
        f"amqp_user = {office.name}",
        f"amqp_pwd_file = {office.etc}/password",
        f"amqp_vhost = {office.name}",
    ]
    assert [line.split()[:2] for line in done.err.splitlines()] == [
        ["make", "the"],
        ["rabbitmqctl", "add_vhost"],
        ["rabbitmqctl", "add_user"],
        ["rabbitmqctl", "set_permissions"],
    ]
    office.broker().connect().close()
    again = office.setup()
    assert (again.code, again.err, again.out) == (0, "", done.out)


@pytest.mark.real
def test_what_somebody_changed_is_put_right_and_only_that(office: Office) -> None:
    assert office.setup().code == 0
    office.node.control("set_permissions", "-p", office.name, office.name, ".*", ".*", ".*")
    office.node.control("change_password", office.name, "another")
    done = office.setup()
    assert [line.split()[1] for line in done.err.splitlines()] == ["change_password", "set_permissions"]
    office.broker().connect().close()


@pytest.mark.real
def test_a_dry_run_tells_the_commands_and_does_nothing(office: Office) -> None:
    done = office.setup("--dry-run", "--write")
    assert done.code == 0, done.err
    assert f"rabbitmqctl add_vhost {office.name}\n" in done.err
    assert f"rabbitmqctl add_user {office.name}  # the password on its standard input\n" in done.err
    assert f"write section [boss] of {office.etc}/skynet.conf\n" in done.err
    assert list(office.etc.iterdir()) == []
    assert office.name not in office.node.control("list_vhosts") + office.node.control("list_users")


@pytest.mark.real
def test_a_farm_with_these_rights_builds_and_is_steered(office: Office, repository: Path, tmp_path: Path) -> None:
    (office.etc / "skynet.conf").write_text((ROOT / "conf/skynet/skynet.conf").read_text())
    assert office.setup("--write").code == 0
    office.home.config("", ".config/imager/imager.conf")
    kickstart = office.home.kickstart(small.kickstart(repository), "quick.ks")
    running = []
    try:
        for number, arguments in enumerate((("keeper",), ("worker", "--name", "one"))):
            home = Home(tmp_path / f"machine{number}", SKYNET_CONFIG_DIR=str(office.etc))
            home = office.home if number == 0 else home
            made = Running(home, *arguments)
            running.append(made)
            made.wait_for("taking workitems")
        done = office.home.img("submit", kickstart, "--type=fs", "--wait", "--json")
        assert (done.code, done.record["status"]) == (0, "DONE"), done.err
        assert office.home.img("queue", "--json").record["workers"]
        slow = office.home.kickstart(small.kickstart(repository, tail="%pre\nsleep 100\n%end\n"), "slow.ks")
        image_id = office.home.img("submit", slow, "--type=fs").out.strip()
        cancelled = office.home.img("cancel", image_id)
        assert cancelled.code == 0, cancelled.err
        assert "no right" not in "".join(each.said.read_text() for each in running)
        assert "cannot be controlled" not in "".join(each.said.read_text() for each in running)
    finally:
        for made in running:
            made.process.terminate()
            made.process.wait(60)


@pytest.mark.real
def test_a_participant_with_the_rights_of_its_role_may_take_its_queue_and_no_other(office: Office) -> None:
    assert office.setup("--role", "build_ks").code == 0
    connection = office.broker().connect()
    connection.channel().queue_declare("build_ks", durable=True)
    connection.channel().basic_get("build_ks")
    for name in ("build_image", "imager.build"):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().queue_declare(name, durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        connection.channel().queue_declare("skynet.cancelled.x", durable=True)
    connection.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--vhost", "a b"), "'a b' is not a name"),
        (("--user", "-x"), "is not a name"),
        (("--host", "http://h"), "is not a host"),
        (("--role", "king"), "king"),
        (("--password-file", "/dev/null"), "/dev/null is open to everybody"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    path = f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}"
    home = Home(tmp_path, SKYNET_CONFIG_DIR=str(tmp_path / "etc"), PATH=path)
    done = home.img("setup", "broker", *options)
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "etc").exists()


@pytest.fixture
def told(tmp_path: Path) -> Home:
    """Where rabbitmqctl does all that it is told, and no broker is there."""
    command = tmp_path / "bin/rabbitmqctl"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return Home(tmp_path / "home", SKYNET_CONFIG_DIR=str(tmp_path / "etc"), PATH=path)


@pytest.mark.parametrize("mode", [None, 0o640, 0o644])
def test_the_services_can_read_what_is_written_whatever_the_umask(
    told: Home, tmp_path: Path, mode: int | None
) -> None:
    conf = tmp_path / "etc/skynet.conf"
    if mode is not None:
        conf.parent.mkdir()
        conf.touch()
        conf.chmod(mode)
    done = told.img("setup", "broker", "--write", umask=0o077)
    assert done.code == 0, done.err
    assert stat.S_IMODE(conf.stat().st_mode) == (mode or 0o644)
    assert stat.S_IMODE(conf.parent.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "etc/password").stat().st_mode) & 0o007 == 0


def test_the_host_that_was_written_stays_until_another_is_named(told: Home, tmp_path: Path) -> None:
    conf = tmp_path / "etc/skynet.conf"
    hosts = []
    for options in ((), ("--host", "broker.example.org"), (), ("--host", "other")):
        done = told.img("setup", "broker", "--write", *options)
        assert done.code == 0, done.err
        hosts += re.findall(r"^amqp_host = (.*)$", conf.read_text(), re.MULTILINE)
    assert hosts == ["localhost", "broker.example.org", "broker.example.org", "other"]
    assert told.img("setup", "broker").out.splitlines()[1] == "amqp_host = other"


@pytest.mark.real
def test_where_no_broker_runs_it_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path, SKYNET_CONFIG_DIR=str(tmp_path / "etc"), PATH=f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}")
    done = home.img("setup", "broker", "--node", "nobody@localhost", environment={"ERL_EPMD_PORT": str(free_port())})
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("img: rabbitmqctl list_vhosts failed: ")
    assert done.err.splitlines()[-1].endswith("(does the broker run, and are you root?)")


BOSS = {"amqp_host": "h", "amqp_user": "u", "amqp_pwd_file": "/p", "amqp_vhost": "v"}


def test_the_shipped_skynet_conf_gets_the_options_where_they_are_explained() -> None:
    old = (ROOT / "conf/skynet/skynet.conf").read_text()
    new = with_boss(old, BOSS)
    changed = [(a, b) for a, b in zip(old.splitlines(), new.splitlines(), strict=True) if a != b]
    assert changed == [
        ("amqp_host = localhost", "amqp_host = h"),
        ("amqp_user = boss", "amqp_user = u"),
        ("amqp_pwd = boss", "#amqp_pwd ="),
        ("#amqp_pwd_file = /etc/skynet/password", "amqp_pwd_file = /p"),
        ("amqp_vhost = boss", "amqp_vhost = v"),
    ]
    assert with_boss(new, BOSS) == new


@pytest.mark.parametrize(
    "text", ["", "[skynet]\nlog_level = INFO\n", "[boss]\n[skynet]\n", "[boss]\namqp_host = x\n"]
)
def test_a_file_that_lacks_options_gets_them(text: str) -> None:
    new = with_boss(text, BOSS)
    assert re.search(r"^\[boss\]\n(amqp_\w+ = .*\n){4}", new, re.MULTILINE)
    assert with_boss(new, BOSS) == new
