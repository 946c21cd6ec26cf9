# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `skynet`: register and unregister participants, launch processes, look at queues."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import pika.exceptions

from RuoteAMQP import wire
from RuoteAMQP.connection import ENGINE_QUEUE, LOST, Broker, BrokerError
from RuoteAMQP.control import Control
from RuoteAMQP.launcher import Launcher
from SkyNET import configuration
from SkyNET.configuration import ConfigurationError, Files

__all__ = ["main"]


def _fail(reason: object) -> NoReturn:
    click.echo(f"skynet: {reason}", err=True)
    sys.exit(2)


def _files(directory: Path, conf: Path | None) -> Files:
    try:
        return configuration.read(directory, [conf] if conf else [])
    except ConfigurationError as error:
        _fail(error)


def _broker(files: Files) -> Broker:
    try:
        return configuration.broker_of(files)
    except ConfigurationError as error:
        _fail(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    default=configuration.DIRECTORY,
    envvar="SKYNET_CONFIG_DIR",
    show_default=True,
    help="Where skynet.conf is, whose section [boss] says which broker.",
)
@click.pass_context
def main(context: click.Context, config_dir: Path) -> None:
    """Participants of a BOSS engine: which there are, what they wait for, and new processes."""
    context.obj = config_dir


_conf = click.option(
    "--conf", type=click.Path(path_type=Path), help="The participant's configuration file: name, regexp and queue."
)
_queue = click.option("--queue", help="The participant's queue (default: its name).")
_json = click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")


def _registration(directory: Path, action: str, name: str | None, queue: str | None, conf: Path | None) -> None:
    files = _files(directory, conf)
    broker = _broker(files)
    try:
        own = files.text("participant", "name", "") if conf else ""
        name = name or (files.text("participant", "regexp", own) if conf else "")
        if not name:
            _fail("which participant? give its NAME (or regular expression), or --conf FILE")
        queue = queue or (files.text("participant", "queue", own) if conf else "") or name
        launcher = Launcher(broker=broker)
        (launcher.register if action == "register" else launcher.unregister)(name, queue)
    except (ConfigurationError, BrokerError, ValueError) as error:
        _fail(error)
    click.echo(f"{action}ed {name} for queue {queue}")


@main.command()
@click.argument("name", required=False)
@_queue
@_conf
@click.pass_obj
def register(directory: Path, name: str | None, queue: str | None, conf: Path | None) -> None:
    """Tell the engine that steps called NAME (or matching it) go to the queue."""
    _registration(directory, "register", name, queue, conf)


@main.command()
@click.argument("name", required=False)
@_queue
@_conf
@click.pass_obj
def unregister(directory: Path, name: str | None, queue: str | None, conf: Path | None) -> None:
    """Take a registration back."""
    _registration(directory, "unregister", name, queue, conf)


def _object(text: str | None, what: str) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        value = wire.decode(content)
    except (OSError, ValueError) as error:
        _fail(f"{what}: {error}")
    if not isinstance(value, dict):
        _fail(f"{what}: a JSON object is wanted")
    return value


@main.command()
@click.argument("process", type=click.File(encoding="utf-8"))
@click.option("--fields", help="The fields of its workitem: a JSON object, or @FILE.")
@click.option("--variables", help="Its variables: a JSON object, or @FILE.")
@click.pass_obj
def launch(directory: Path, process: Any, fields: str | None, variables: str | None) -> None:
    """Start the process that the file PROCESS defines (- is standard input): a JSON tree, radial or Ruby text."""
    broker = _broker(_files(directory, None))
    try:
        text = process.read()
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{process.name}: {error}")
    try:
        tree = wire.decode(text)
    except ValueError:
        tree = text
    try:
        Launcher(broker=broker).launch(
            tree if isinstance(tree, list | dict) else text,
            _object(fields, "--fields"),
            _object(variables, "--variables"),
        )
    except (BrokerError, ValueError, TypeError) as error:
        _fail(error)
    click.echo("launched")


@main.command()
@click.argument("queues", nargs=-1)
@_conf
@_json
@click.pass_obj
def status(directory: Path, queues: tuple[str, ...], conf: Path | None, as_json: bool) -> None:
    """Say of each of QUEUES, and of the engine's, how many workitems wait and how many take them.

    And of each participant that answers, what it holds.
    """
    files = _files(directory, conf)
    broker = _broker(files)
    if conf:
        try:
            queues = (*queues, files.text("participant", "queue", files.text("participant", "name")))
        except ConfigurationError as error:
            _fail(error)
    found = {queue: _look(broker, queue) for queue in dict.fromkeys((ENGINE_QUEUE, *queues))}
    participants = _ask(broker, "status")
    if as_json:
        click.echo(json.dumps({"broker": broker.address, "queues": found, "participants": participants}, indent=2))
    else:
        click.echo(f"broker {broker.address}")
        for queue, state in found.items():
            told = f"{state['waiting']} waiting, {state['consumers']} taking" if state else "not there"
            click.echo(f"{queue}: {told}")
        _tell(participants)
    # Somebody must take what waits: a check for monitoring.
    sys.exit(0 if all(state and state["consumers"] for state in found.values()) else 1)


@main.command()
@click.argument("action", type=click.Choice(["pause", "resume", "drain"]))
@click.argument("name", required=False, default="")
@_json
@click.pass_obj
def control(directory: Path, action: str, name: str, as_json: bool) -> None:
    """Have participants take nothing for now, go on, or end when they have finished what they hold.

    NAME is a participant's, or HOST/NAME; without it all are meant.
    """
    answers = _ask(_broker(_files(directory, None)), action, worker=name)
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        _tell(answers)
    if not answers:
        click.echo(f"skynet: nobody{' called ' + name if name else ''} answers", err=True)
    sys.exit(0 if answers else 1)


def _ask(broker: Broker, action: str, **fields: Any) -> list[dict[str, Any]]:
    try:
        with Control(broker) as said:
            answers = said.ask(action, **fields)
    except BrokerError as error:
        _fail(error)
    return sorted(answers, key=lambda answer: (str(answer.get("worker")), str(answer.get("host"))))


def _tell(participants: list[dict[str, Any]]) -> None:
    for each in participants:
        held = each.get("held") or []
        why = f" ({each['why']})" if each.get("why") not in ("", None, each.get("state")) else ""
        names = ", ".join(str(work.get("image_id") or work.get("step")) for work in held)
        told = (
            f"{each.get('host')}/{each.get('worker')}: {each.get('state')}{why}, {len(held)} of {each.get('slots')}"
        )
        click.echo(_printable(f"{told} slots in use{': ' if held else ''}{names}"))


def _printable(text: str) -> str:
    """What others said must not steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _look(broker: Broker, queue: str) -> dict[str, int] | None:
    try:
        connection = broker.connect()
        try:
            method = connection.channel().queue_declare(queue, passive=True).method
            return {"waiting": method.message_count, "consumers": method.consumer_count}
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:
                return None
            _fail(f"queue {queue}: {error.reply_text}")
        finally:
            if connection.is_open:
                connection.close()
    except BrokerError as error:
        _fail(error)
    except LOST as error:
        _fail(broker.reason(error))


if __name__ == "__main__":
    main()
