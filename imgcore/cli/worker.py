# SPDX-License-Identifier: GPL-2.0-or-later
"""`img worker`: builds the jobs of a farm's queue; and what a running one is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from imgcore import names
from imgcore.cli import farm, options
from imgcore.cli.queue import told
from imgcore.errors import ImagerError

__all__ = ["command"]


@click.group("worker", invoke_without_command=True, no_args_is_help=False)
@click.option("--slots", type=click.IntRange(1, 1000), help="How many builds at once  [default: by cores and memory]")
@click.option(
    "--name", type=options.text, help="Name of the worker  [default: the first free of worker-1, worker-2 …]"
)
@farm.broker
@options.spool
@options.configuration
@click.pass_context
def command(
    context: click.Context,
    slots: int | None,
    name: str | None,
    address: str | None,
    password_file: Path | None,
    spool: Path | None,
    config_file: Path | None,
) -> int:
    """Build the jobs of a farm.

    They are taken from the broker's queue imager.build; the worker runs in the foreground. It needs the broker's
    address and nothing else: it records jobs in a spool of its own (or the shared one), puts images where its
    configuration says, and tells how far they are. SIGTERM ends it while its builds go on, to be found at its next
    start; Ctrl-C waits for them, a second one cancels them.
    """
    if context.invoked_subcommand:
        context.obj = (address, password_file)
        return 0
    from imgcore.cli.host import host, named

    options.export(config_file, spool)
    chosen, _lock = named(names.name(name) if name else None, "worker")
    own = {"queue": farm.BUILD_QUEUE, "priorities": "yes", "engine": "no"}
    if slots:
        own["slots"] = str(slots)
    return host("build_image", chosen, own, address, password_file)


def _subcommand(action: str, explained: str) -> Callable[..., None]:
    @command.command(action, help=f"{explained}\n\nNAME is a worker's, or HOST/NAME; without one all workers do it.")
    @click.argument("name", required=False, default="")
    @farm.broker
    @options.as_json
    @click.pass_context
    def tell(
        context: click.Context, name: str, address: str | None, password_file: Path | None, json_wanted: bool
    ) -> None:
        if address is None:
            address, password_file = context.obj
        answers = _told(action, name, address, password_file)
        if json_wanted:
            click.echo(json.dumps(answers, indent=2))
        else:
            for each in answers:
                click.echo(told(each))

    return tell


_subcommand("pause", "Take nothing more for now.")
_subcommand("resume", "Take jobs again.")
_subcommand("drain", "Finish what is being built, then end.")


def _told(action: str, name: str, address: str | None, password_file: Path | None) -> list[dict[str, Any]]:
    """Tell the workers; what they answer. Raises ImagerError where none does."""

    def meant(answer: dict[str, Any]) -> bool:
        # Without a name only workers of the farm: other participants of the broker are the engine's.
        own = str(answer.get("worker"))
        return name in (own, f"{answer.get('host')}/{own}") if name else answer.get("queue") == farm.BUILD_QUEUE

    with farm.Farm(farm.find(address, password_file)) as connected:
        chosen = [each for each in connected.ask() if meant(each)]
        for each in chosen:
            connected.tell(action, worker=f"{each['host']}/{each['worker']}")
        answers = [each for each in connected.ask() if meant(each)] if chosen else []
    if not chosen:
        raise ImagerError(f"no worker{f' {name}' if name else ''} answers", "`img queue` shows those that do")
    return answers
