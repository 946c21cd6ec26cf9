# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands that talk to a farm share: which broker, a connection to it, how a job is put into its queue.

A job travels as a workitem without an engine: its step is made of the job's id, so that the same job sent twice is
the same step, which is built once.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import unquote

import click

from imgcore.cli import options
from imgcore.errors import ImagerError, InputError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingConnection

    from RuoteAMQP import Broker, Workitem
    from RuoteAMQP.control import Control

__all__ = [
    "BUILD_QUEUE",
    "STATUS_QUEUE",
    "Farm",
    "NoBroker",
    "boss",
    "broker",
    "directory",
    "find",
    "message",
    "priority",
]

#: Where jobs wait for a worker, and what is told of them for the spool.
BUILD_QUEUE, STATUS_QUEUE = "imager.build", "update_image_status"

_F = TypeVar("_F", bound=Callable[..., Any])
_ADDRESS = re.compile(r"(?:(?P<scheme>amqps?)://)?(?:(?P<user>[^@/]*)@)?(?P<host>[^@/]+)(?:/(?P<vhost>[^/]*))?")
_GUEST = "guest"
_REMEDY = "is it running, is it the right one?"


class NoBroker(InputError):
    """Nobody has said which broker."""


def broker(function: _F) -> _F:
    """`--broker` and `--password-file`."""
    for option in (
        click.option(
            "--password-file", type=options.path, help="File with the password for --broker, closed to others."
        ),
        click.option(
            "--broker",
            "address",
            type=options.text,
            metavar="ADDRESS",
            help="[amqp[s]://][USER@]HOST[:PORT][/VHOST]  [default: section boss of skynet.conf]",
        ),
    ):
        function = option(function)
    return function


def priority(function: _F) -> _F:
    """`--priority`."""
    return click.option("--priority", type=click.Choice(["normal", "high"]), help="high: before all that wait.")(
        function
    )


def directory() -> Path:
    """Where skynet.conf is: $SKYNET_CONFIG_DIR, /etc/skynet, or ~/.config/skynet."""
    if given := os.environ.get("SKYNET_CONFIG_DIR"):
        return Path(given)
    system, own = Path("/etc/skynet"), Path("~/.config/skynet").expanduser()
    # One that is there for services alone is not for us.
    return own if (own / "skynet.conf").exists() and not os.access(system / "skynet.conf", os.R_OK) else system


def boss(address: str, password_file: Path | None) -> configparser.ConfigParser:
    """The section `boss` that an address stands for. Raises InputError."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise InputError("--broker: that is no address of a broker", "write amqps://USER@HOST:PORT/VHOST, or HOST")
    user = unquote(found["user"] or _GUEST)
    if ":" in user:
        raise InputError(
            "--broker: a password does not belong there, where all users of this machine can see it",
            "put it into a file of your own and give --password-file",
        )
    if password_file is None and user != _GUEST:
        raise InputError(f"--broker: there is no password for {user}", "give --password-file")
    parser = configparser.ConfigParser(interpolation=None)
    password = {"amqp_pwd_file": str(password_file.absolute())} if password_file else {"amqp_pwd": _GUEST}
    parser["boss"] = {
        "amqp_host": found["host"],
        "amqp_user": user,
        "amqp_vhost": unquote(found["vhost"] or "/"),
        "amqp_tls": "yes" if found["scheme"] == "amqps" else "no",
        **password,
    }
    return parser


def find(address: str | None, password_file: Path | None) -> Broker:
    """The broker of the options, or else of skynet.conf. Raises InputError."""
    from SkyNET import configuration

    try:
        if address:
            files = configuration.Files(boss(address, password_file), [Path("--broker")])
            return configuration.broker_of(files, client="img")
        if password_file:
            raise InputError("--password-file is for --broker", "give both, or neither")
        files = configuration.read(directory())
        if not files.parser.has_section("boss"):
            raise NoBroker(
                f"no broker is known ({files.told()})", "give --broker HOST, or write section [boss] of skynet.conf"
            )
        return configuration.broker_of(files, client="img")
    except configuration.ConfigurationError as error:
        raise InputError(str(error)) from error


class Farm:
    """A broker, what waits there and who listens; a context. All of it raises ImagerError without the broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._connection: BlockingConnection | None = None
        self._control: Control | None = None
        self._open_ones = ExitStack()

    def __enter__(self) -> Self:
        from RuoteAMQP.connection import LOST, BrokerError, close

        try:
            self._connection = self.broker.connect()
        except (BrokerError, *LOST) as error:
            raise _no_broker(self.broker, error) from error
        self._open_ones.callback(close, self._connection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open_ones.close()
        self._connection = self._control = None

    def send(self, made: Workitem) -> None:
        """Put a recorded job into the queue; on return the broker has it on disk. Raises ImagerError."""
        from RuoteAMQP.connection import LOST, PRIORITIES, BrokerError, declare, publish

        image = made.fields.image
        connection = self._open()
        try:
            declare(connection, BUILD_QUEUE, PRIORITIES)
            channel = connection.channel()
            channel.confirm_delivery()
            publish(connection, channel, BUILD_QUEUE, message(made).encode(), priority=int(image.priority == "high"))
            channel.close()
        except (BrokerError, *LOST) as error:
            raise ImagerError(
                f"{image.image_id} is recorded, but not known to have reached the queue: {self.broker.reason(error)}",
                f"`img submit --again {image.image_id}` sends it again; within an hour it is built once",
            ) from error

    def queue(self, name: str) -> tuple[int, int] | None:
        """How many messages wait in a queue and how many consumers it has; None where there is no such queue."""
        import pika.exceptions

        from RuoteAMQP.connection import LOST

        try:
            channel = self._open().channel()
            method = channel.queue_declare(name, passive=True).method
            channel.close()
            return int(method.message_count), int(method.consumer_count)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:
                return None
            raise ImagerError(f"queue {name}: {error.reply_text}", "look at the user's rights") from error
        except LOST as error:
            raise _no_broker(self.broker, error) from error

    def ask(self, within: float = 1.0) -> list[dict[str, Any]]:
        """The state of every worker and other participant that answers within so many seconds."""
        with self._said() as control:
            return control.ask("status", within)

    def tell(self, action: str, **fields: str) -> None:
        """Say something to all workers and other participants that listen now."""
        with self._said() as control:
            control.tell(action, **fields)

    def cancel(self, image_id: str, who: str, reason: str) -> None:
        """Have no worker begin with a job, also later, and the one that builds it end that."""
        with self._said() as control:
            # The mark first: who does not hear us now looks for it before it begins.
            control.mark_cancelled(image_id)
            control.tell("cancel", image_id=image_id, who=who, reason=reason)

    @contextmanager
    def _said(self) -> Iterator[Control]:
        """The control exchange, opened once for all that is said."""
        from RuoteAMQP.connection import BrokerError
        from RuoteAMQP.control import Control

        try:
            self._control = self._control or self._open_ones.enter_context(Control(self.broker))
            yield self._control
        except BrokerError as error:
            raise ImagerError(f"no broker: {error}", _REMEDY) from error

    def _open(self) -> BlockingConnection:
        if self._connection is None:
            raise RuntimeError("a Farm is used in a `with`")
        return self._connection


def _no_broker(broker: Broker, error: BaseException) -> ImagerError:
    return ImagerError(f"no broker: {broker.reason(error)}", _REMEDY)


def message(made: Workitem) -> Workitem:
    """What travels to the workers."""
    from RuoteAMQP import Workitem

    image = made.fields.image.as_dict()
    fields = {"image": image, "params": {"forget": True}}
    if image.get("priority"):
        fields["priority"] = image["priority"]
    step = {"engine_id": "imager", "wfid": image["image_id"], "subid": "build", "expid": "0"}
    return Workitem({"fields": fields, "fei": step, "participant_name": "build_image"})
