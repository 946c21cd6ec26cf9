# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/farm.py: which broker is meant, without one being there, and what travels."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.cli import farm
from imgcore.errors import ImagerError, InputError
from RuoteAMQP import Broker, Workitem


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "skynet"
    place.mkdir()
    monkeypatch.setenv("SKYNET_CONFIG_DIR", str(place))
    return place


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("broker", ("guest", "broker:5672/", False)),
        ("amqp://broker", ("guest", "broker:5672/", False)),
        ("amqps://broker", ("guest", "broker:5671/", True)),
        ("amqps://me@broker:99/farm", ("me", "broker:99/farm", True)),
        ("me%40here@[::1]:99/%2Fa", ("me@here", "[::1]:99/a", False)),
        ("broker/", ("guest", "broker:5672/", False)),
    ],
)
def test_an_address_says_user_host_port_vhost_and_tls(
    address: str, meant: tuple[str, str, bool], password: Path
) -> None:
    found = farm.find(address, password)
    assert (found.user, found.address, found.encrypted) == meant
    assert found.password == "secret"


def test_a_percent_sign_of_a_name_is_just_that(password: Path) -> None:
    assert farm.find("50%25@broker/100%25", password).user == "50%"
    assert farm.find("50%25@broker/100%25", password).vhost == "100%"


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    for address in ("me:s3cret@broker", "amqp://me:s3cret@broker/x"):
        with pytest.raises(InputError, match="password-file") as refused:
            farm.find(address, None)
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("address", ["a b", "broker:x", "broker:99999", "http://broker", "a@b@c", "broker/a/b"])
def test_what_is_no_address_is_refused(address: str, password: Path) -> None:
    with pytest.raises(InputError):
        farm.find(address, password)


def test_a_user_needs_a_password_and_its_file_must_be_closed(password: Path) -> None:
    with pytest.raises(InputError, match="no password for me"):
        farm.find("me@broker", None)
    password.chmod(0o604)
    with pytest.raises(InputError, match="open to everybody"):
        farm.find("me@broker", password)
    with pytest.raises(InputError, match="cannot be read"):
        farm.find("me@broker", password.with_name("gone"))


def test_without_an_address_it_is_the_one_of_skynet_conf(configuration: Path) -> None:
    with pytest.raises(farm.NoBroker, match=r"no broker is known .*skynet\.conf"):
        farm.find(None, None)
    text = "[boss]\namqp_host = b:1\namqp_user = u\namqp_pwd = 5%s\namqp_vhost = v\n"
    (configuration / "skynet.conf").write_text(text)
    assert farm.find(None, None).address == "b:1/v"
    (configuration / "skynet.conf").write_text(text.replace("amqp_user", "user"))
    with pytest.raises(InputError, match="amqp_user"):
        farm.find(None, None)


def test_an_address_is_not_mixed_with_the_login_of_another_broker(configuration: Path) -> None:
    text = "[boss]\namqp_host = b\namqp_user = u\namqp_pwd = theirs\namqp_vhost = v\namqp_tls = yes\n"
    (configuration / "skynet.conf").write_text(text)
    found = farm.find("other", None)
    assert (found.user, found.password, found.encrypted) == ("guest", "guest", False)


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    with (
        pytest.raises(ImagerError, match=r"no broker: 127\.0\.0\.1:1/: .*refused") as failed,
        farm.Farm(farm.find("127.0.0.1:1", None)),
    ):
        pass
    assert failed.value.exit_code == 1


def test_all_that_is_said_in_a_with_goes_over_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Control:
        def __init__(self, broker: Broker) -> None: ...

        def __enter__(self) -> Control:
            done.append("open")
            return self

        def __exit__(self, *_: object) -> None:
            done.append("close")

        def mark_cancelled(self, image_id: str) -> None:
            done.append(f"mark {image_id}")

        def tell(self, action: str, **fields: str) -> None:
            done.append(f"{action} {fields['image_id']}")

    monkeypatch.setattr("RuoteAMQP.control.Control", Control)
    monkeypatch.setattr("RuoteAMQP.connection.close", lambda connection: done.append("end"))
    monkeypatch.setattr(Broker, "connect", lambda broker: object())
    with farm.Farm(farm.find("broker", None)) as connected:
        assert done == []
        for image_id in ("a", "b"):
            connected.cancel(image_id, "me", "")
    assert done == ["open", "mark a", "cancel a", "mark b", "cancel b", "close", "end"]


def test_a_job_travels_as_a_step_of_its_own_that_wants_no_reply() -> None:
    made = Workitem({"fields": {"image": {"image_id": "a-1", "priority": "high", "kickstart": "x"}}})
    first, second = farm.message(made), farm.message(made.dup())
    assert first.step == second.step == "a-1!build!0"
    assert first.forget
    assert first.fields.priority == "high"
    assert first.fields.image.as_dict() == made.fields.image.as_dict()
