# SPDX-License-Identifier: GPL-2.0-or-later
"""`img import`: a job that was exported, recorded in this spool."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imgcore import names
from imgcore.atomic import failed
from imgcore.cli import options
from imgcore.job import to_json
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("import")
@click.argument("source", metavar="FILE", type=options.path)
@click.option("--id", "image_id", type=options.text, help="Record it under this id  [default: the one that it had]")
@options.spool
@options.configuration
@options.as_json
def command(
    source: Path, image_id: str | None, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> None:
    """Record a job that `img export` wrote to FILE (- is standard input).

    It is recorded as it ended, with its log; its image is not there. `img retry` has it built again.
    """
    from imgcore.jobs.archive import unpack

    there = Spool(options.load(config_file, spool=spool).spool)
    wanted = names.image_id(image_id) if image_id else ""
    if source == Path("-"):
        job = unpack(there, sys.stdin.buffer, image_id=wanted, who=options.who())
    else:
        try:
            file = source.open("rb")
        except OSError as error:
            raise failed(source, error, "read") from error
        with file:
            job = unpack(there, file, image_id=wanted, who=options.who())
    click.echo(to_json(job).decode() if json_wanted else job.image_id, nl=not json_wanted)
