# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm import`: a disk image from elsewhere as a base image."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore import names
from imgcore.cli import options
from imgcore.cli.vm import making

__all__ = ["command"]


@click.command("import")
@click.argument("name")
@click.argument("file", type=options.path)
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@options.configuration
@options.as_json
def command(name: str, file: Path, quiet: bool, config_file: Path | None, json_wanted: bool) -> None:
    """Make a copy of the disk image FILE the base image NAME.

    FILE is raw or qcow2, complete in itself, with a root on ext4: as a whole, or in a partition. It is kept when a
    machine of it started.
    """
    recipe = {"how": "import", "file": str(file.absolute())}
    making.add(options.load(config_file), names.word("base", name), recipe, quiet=quiet, json_wanted=json_wanted)
