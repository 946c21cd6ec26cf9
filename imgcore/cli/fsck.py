# SPDX-License-Identifier: GPL-2.0-or-later
"""`img fsck`: what is wrong with the spool, and with --repair, less of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from imgcore.cli import options
from imgcore.jobs import fsck
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--quick", is_flag=True, help="Do not read the images (their digests are not checked).")
@click.option("--outdir", type=options.path, help="Where images are put  [default: base_dir as configured]")
@options.spool
@options.configuration
@options.as_json
def command(
    repair: bool, quick: bool, outdir: Path | None, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> int:
    """Check every job's record, history and files; say what is damaged.

    \b
    Exit codes: 0 all is well (now), 1 something is damaged.
    """
    config = options.load(config_file, spool=spool, base_dir=outdir)
    opened = Spool(config.spool, create=False)
    left = 0
    told = []
    for finding in fsck.check(opened, [config.base_dir], digests=not quick):
        done = ""
        if repair and finding.repairable:
            done = fsck.repair(opened, finding)
        left += not done
        told.append({**dataclasses.asdict(finding), "path": str(finding.path), "repaired": done})
        if not json_wanted:
            click.echo(f"{finding.kind}: {finding.sentence}" + (f"; {done}" if done else ""))
    if json_wanted:
        click.echo(json.dumps(told, indent=1))
    elif not told:
        click.echo(f"{config.spool}: all is well", err=True)
    return 1 if left else 0
