"""`img report`: the status pages, made from the spool."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore import report
from imgcore.cli import options
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("report")
@click.option("--outdir", type=options.path, help="Where the pages go  [default: report as configured]")
@options.spool
@options.configuration
@options.as_json
def command(outdir: Path | None, spool: Path | None, config_file: Path | None, json_wanted: bool) -> None:
    """Write the status pages: plain files that any browser and any web server can show."""
    config = options.load(config_file, spool=spool, report=outdir)
    site = report.write(Spool(config.spool, create=False), config.report)
    if json_wanted:
        click.echo(json.dumps({"index": str(site.index), "written": site.written, "kept": site.kept}))
    else:
        click.echo(site.index.as_uri())
