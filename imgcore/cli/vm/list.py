# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm list`: the base images that there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore.cli import options, table
from imgcore.cli.terminal import note
from imgcore.cli.vm import making
from imgcore.errors import ImagerError
from imgcore.executor.vm import bases

__all__ = ["command"]


@click.command("list")
@options.configuration
@options.as_json
def command(config_file: Path | None, json_wanted: bool) -> None:
    """List the base images: what system, how large, when and of what it was made."""
    directory = options.load(config_file).vm.bases
    found = []
    for name in bases.known(directory):
        try:
            found.append(bases.read(directory, name))
        except ImagerError as error:
            note(f"img: {error}")
    if json_wanted:
        click.echo(json.dumps([each.told() for each in found], indent=1))
        return
    rows = [
        (each.name, each.found.get("os", ""), f"{each.size >> 20:,} MiB", each.made_at, making.origin(each.recipe))
        for each in found
    ]
    table.show(("NAME", "SYSTEM", "SIZE", "MADE", "OF"), rows, right=("SIZE",))
