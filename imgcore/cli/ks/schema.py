# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks schema`: what YAML of a dialect may say, for editors and for other programs."""

from __future__ import annotations

import click

from imgcore.cli import options
from imgcore.kickstarter.schema import DIALECTS, text

__all__ = ["command"]


@click.command("schema")
@click.argument("dialect", type=click.Choice(DIALECTS))
@options.as_json
def command(dialect: str, json_wanted: bool) -> None:
    """Print the JSON Schema of the YAML that `img ks generate` reads in DIALECT."""
    del json_wanted  # it is JSON anyway
    click.echo(text(dialect), nl=False)
