# SPDX-License-Identifier: GPL-2.0-or-later
"""`img files`: what a job delivered."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.amounts import size
from imgcore.cli import options, printing, selecting, table
from imgcore.jobs.choosing import one
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("files")
@selecting.job
@click.option("--kind", help="Only files of this kind: image, archive, manifest, log …")
@options.spool
@options.configuration
@options.as_json
def command(given: str, kind: str | None, spool: Path | None, config_file: Path | None, json_wanted: bool) -> None:
    """List the files that a job delivered: kind, size, SHA-256 and where they are."""
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    job = there.read(one(there, given))
    place = job.directory or job.files_url
    found = [
        {**each, "path": f"{place.rstrip('/')}/{each['name']}" if place else each["name"]}
        for each in job.artifacts
        if kind in (None, each["kind"])
    ]
    if json_wanted:
        printing.as_json(found, indent=2)
    else:
        rows = ([each["kind"], size(each["size"]), each["sha256"], each["path"]] for each in found)
        table.show(("KIND", "SIZE", "SHA-256", "PATH"), rows, {"SIZE"})
