# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm update`: a base image made anew, of what it was made of."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import options
from imgcore.cli.vm import making
from imgcore.executor.vm import bases

__all__ = ["command"]


@click.command("update")
@click.argument("name")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@options.configuration
@options.as_json
def command(name: str, quiet: bool, config_file: Path | None, json_wanted: bool) -> None:
    """Make the base image NAME anew: the same debootstrap, kickstart or file as before.

    The old one stays until a machine of the new one started; jobs that run go on with what they have.
    """
    config = options.load(config_file)
    before = bases.read(config.vm.bases, name)
    making.tell(
        making.make(config, before.name, before.recipe, quiet=quiet or json_wanted),
        quiet=quiet,
        json_wanted=json_wanted,
    )
