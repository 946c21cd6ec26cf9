# SPDX-License-Identifier: GPL-2.0-or-later
"""`img find`: the jobs in which a text occurs."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import click

from imgcore.cli import options, printing, selecting, table
from imgcore.jobs.searching import PLACES, hits
from imgcore.spool import Spool

__all__ = ["command"]

_USUAL = ("record", "kickstart", "packages")


@click.command("find")
@click.argument("sought", metavar="TEXT", type=options.text)
@click.option(
    "--in", "places", multiple=True, type=click.Choice(PLACES),
    help="Where to look; can be repeated  [default: all but the log]",
)  # fmt: skip
@click.option(
    "-n", "--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many jobs; 0: all."
)
@selecting.selected
@options.spool
@options.configuration
@options.as_json
def command(
    sought: str,
    places: tuple[str, ...],
    limit: int,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
    **given: Any,
) -> int:
    """Find jobs by a text in their record, kickstart, packages or log.

    Each line that is found is printed behind the job's id and where it is, the newest job first; of one file the
    first lines only. Upper and lower case are the same.

    \b
    Exit codes: 0 it was found, 1 it was not, 2 bad input.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    where = tuple(each for each in PLACES if each in (places or _USUAL))
    jobs = selecting.selection(given).of(there, selecting.tell_damage)
    found = (first for first in (list(hits(there, job, sought, where)) for job in jobs) if first)
    any_found = False
    for lines in itertools.islice(found, limit or None):
        any_found = True
        for hit in lines:
            if json_wanted:
                printing.as_json(dataclasses.asdict(hit))
            else:
                at = f"{hit.place}:{hit.line}" if hit.line else hit.place
                table.echo(table.cell(f"{hit.image_id} {at}: {hit.text}"))
    return 0 if any_found else 1
