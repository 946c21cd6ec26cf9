# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves SkyNET/cli.py and RuoteAMQP/launcher.py: what is sent, to the byte, and what is said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from RuoteAMQP import DictAttrProxy, Launcher
from RuoteAMQP.connection import BrokerError
from SkyNET.cli import main
from tests.support.engine import Engine
from tests.support.hosted import Hosted, configure
from tests.support.rabbitmq import Node, free_port

TREE = '["define",{"name":"x"},[["sequence",{},[["build_ks",{},[]]]]]]'
RUBY = "Ruote.process_definition 'x' do\n  sequence do\n    build_ks\n  end\nend\n"
RADIAL = "define x\n  sequence\n    build_ks\n"


def skynet(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config-dir", str(place), *arguments])


@pytest.mark.real
def test_register_and_unregister_send_the_launch_item_of_the_protocol(
    broker: Node, engine: Engine, tmp_path: Path
) -> None:
    own = configure(tmp_path, broker.address, "build_image", more="[participant]\nqueue = q1\nregexp = build_.*\n")
    for arguments in (
        ["register", "build_ks"],
        ["register", "build_ks", "--queue", "q"],
        ["register", "--conf", str(own)],
        ["unregister", "build_ks"],
    ):
        done = skynet(tmp_path, *arguments)
        assert done.exit_code == 0
    assert done.output == "unregistered build_ks for queue build_ks\n"
    tree = '["define", {"name": "%s_participant"}, [["sequence", {}, [["boss_register", %s, []]]]]]'
    item = '{"definition": %s, "fields": {"name": "%s", "queue": "%s"}, "variables": null}'
    register, unregister = tree % ("register", "{}"), tree % ("unregister", '{"action": "unregister"}')
    assert [body.decode() for body in engine.wait_for("launched", 4)] == [
        item % (register, "build_ks", "build_ks"),
        item % (register, "build_ks", "q"),
        item % (register, "build_.*", "q1"),
        item % (unregister, "build_ks", "build_ks"),
    ]
    assert engine.registered == {"build_.*": "q1"}
    assert {properties.delivery_mode for properties in engine.properties} == {2}


@pytest.mark.real
def test_launch_sends_trees_as_trees_and_text_as_text(broker: Node, engine: Engine, tmp_path: Path) -> None:
    configure(tmp_path, broker.address, "n")
    (tmp_path / "fields").write_text('{"image": {"name": "é", "big": 1e400}}')
    for text in (TREE, RUBY, RADIAL):
        (tmp_path / "process").write_text(text)
        done = skynet(tmp_path, "launch", str(tmp_path / "process"), "--fields", f"@{tmp_path / 'fields'}")
        assert (done.exit_code, done.output) == (0, "launched\n")
    items = [json.loads(body, parse_float=str) for body in engine.wait_for("launched", 3)]
    assert [item["definition"] for item in items] == [json.loads(TREE), RUBY, RADIAL]
    assert items[0]["fields"] == {"image": {"name": "é", "big": "1E+400"}}
    assert items[0]["variables"] is None


@pytest.mark.real
def test_a_launcher_is_used_as_the_field_does(broker: Node, engine: Engine) -> None:
    launcher = Launcher(amqp_host=broker.address, amqp_user="guest", amqp_pass="guest", amqp_vhost="/")
    launcher.launch(["define", {}, []], DictAttrProxy({"a": 1}), {"v": [DictAttrProxy({"b": 2})]})
    with launcher as kept:
        kept.launch(RADIAL)
        kept.launch(RUBY, {})
    assert [body.decode() for body in engine.wait_for("launched", 3)] == [
        '{"definition": ["define", {}, []], "fields": {"a": 1}, "variables": {"v": [{"b": 2}]}}',
        f'{{"definition": {json.dumps(RADIAL)}, "fields": null, "variables": null}}',
        f'{{"definition": {json.dumps(RUBY)}, "fields": {{}}, "variables": null}}',
    ]


@pytest.mark.real
def test_a_launch_before_the_engine_was_ever_there_is_kept(broker: Node) -> None:
    connection = broker.connect()
    connection.channel().queue_delete("ruote_workitems")
    Launcher(broker.address, "guest", "guest", "/").launch(RADIAL)
    assert broker.ready("ruote_workitems") == 1
    connection.channel().queue_purge("ruote_workitems")
    connection.close()


@pytest.mark.parametrize("process", ["", "  \n", [], {}])
def test_an_empty_process_is_refused(process: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        Launcher().launch(process)


def test_what_is_no_process_and_no_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="a tree or a text, not int"):
        Launcher().launch(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fields are a dictionary, not list"):
        Launcher().launch("x", ["a"])  # type: ignore[arg-type]


def test_a_broker_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"127.0.0.1:{port}/boss: .*refused"):
        Launcher(f"127.0.0.1:{port}", patience=0).launch(RADIAL)
    configure(tmp_path, f"127.0.0.1:{port}", "n")
    done = skynet(tmp_path, "status")
    assert done.exit_code == 2
    assert done.output.startswith(f"skynet: 127.0.0.1:{port}/: ")
    assert done.output.count("\n") == 1


@pytest.mark.real
def test_status_says_what_waits_and_who_takes(broker: Node, engine: Engine, queue: str, tmp_path: Path) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        hosted.wait_for("taking workitems")
        engine.send(f"{queue}_idle", b"{}")
        done = skynet(tmp_path, "status", "--conf", str(hosted.own), "--json")
        assert done.exit_code == 0
        assert json.loads(done.output)["queues"][queue] == {"waiting": 0, "consumers": 1}
        done = skynet(tmp_path, "status", f"{queue}_idle", f"{queue}_none")
    assert done.exit_code == 1
    assert done.output.startswith(
        f"broker {broker.address}/\nruote_workitems: 0 waiting, 1 taking\n"
        f"{queue}_idle: 1 waiting, 0 taking\n{queue}_none: not there\n"
    )
    assert f"/{queue}: taking, 0 of 1 slots in use\n" in done.output


@pytest.mark.real
def test_a_participant_is_paused_resumed_and_drained_by_name(
    broker: Node, engine: Engine, queue: str, tmp_path: Path
) -> None:
    with Hosted(broker, tmp_path, queue) as hosted:
        hosted.wait_for("taking workitems")
        assert "paused" in skynet(tmp_path, "control", "pause", queue).output
        (state,) = json.loads(skynet(tmp_path, "control", "resume", queue, "--json").output)
        assert (state["worker"], state["state"]) == (queue, "taking")
        skynet(tmp_path, "control", "drain", queue)
        assert hosted.ended() == 0
        nobody = skynet(tmp_path, "control", "drain", queue)
    assert (nobody.exit_code, nobody.output) == (1, f"skynet: nobody called {queue} answers\n")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["register"], "which participant?"),
        (["register", "--conf", "/nothing.conf"], "/nothing.conf is not there"),
        (["launch", "-", "--fields", "[1]"], "--fields: a JSON object is wanted"),
        (["launch", "-", "--fields", "{"], "--fields: "),
        (["launch", "-", "--variables", "@/nothing"], "--variables: "),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], wanted: str) -> None:
    configure(tmp_path, "localhost", "n")
    done = skynet(tmp_path, *arguments)
    assert done.exit_code == 2
    assert done.output.startswith("skynet: ")
    assert wanted in done.output
    assert done.output.count("\n") == 1


def test_a_missing_login_is_named(tmp_path: Path) -> None:
    done = skynet(tmp_path, "status")
    assert done.exit_code == 2
    assert done.output == (
        "skynet: option amqp_host of section [boss] is missing "
        f"(read: nothing; not there: {tmp_path / 'skynet.conf'})\n"
    )
