# SPDX-License-Identifier: GPL-2.0-or-later
"""`img workers`: who builds, and what."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore.cli import farm, queue
from imgcore.cli.options import as_json
from imgcore.cli.terminal import note

__all__ = ["command"]


@click.command("workers")
@queue.within
@farm.broker
@as_json
def command(within: float, address: str | None, password_file: Path | None, json_wanted: bool) -> int:
    """Show the workers of the farm, their slots and what they build.

    They are those that answer in time, wherever they are; `img worker pause`, `resume` and `drain` steer them.

    \b
    Exit codes: 0 there are some, 1 none answers.
    """
    with farm.Farm(farm.find(address, password_file)) as connected:
        answers = queue.in_order(connected.ask(within))
    if json_wanted:
        click.echo(json.dumps(answers, indent=2))
    else:
        for line in queue.lines(answers):
            click.echo(line)
        if not answers:
            note("note: no worker answers (start one: `img worker`)")
    return 0 if answers else 1
