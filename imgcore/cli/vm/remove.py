# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm remove`: a base image that nobody needs any more."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import options
from imgcore.executor.vm import bases

__all__ = ["command"]


@click.command("remove")
@click.argument("name")
@options.configuration
def command(name: str, config_file: Path | None) -> None:
    """Remove the base image NAME. Jobs that run in machines of it go on."""
    bases.remove(options.load(config_file).vm.bases, name)
