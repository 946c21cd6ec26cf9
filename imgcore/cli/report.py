# SPDX-License-Identifier: GPL-2.0-or-later
"""`img report`: the status pages, made from the spool."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click

from imgcore import report
from imgcore.cli import options, terminal
from imgcore.errors import SpoolError
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("report")
@click.option("--outdir", type=options.path, help="Where the pages go  [default: report as configured]")
@click.option("--watch", is_flag=True, help="Stay, and keep the pages up to date until SIGTERM or Ctrl-C.")
@click.option("--check", is_flag=True, help="Compare with pages made anew; what differs is an error.")
@options.spool
@options.configuration
@options.as_json
def command(
    outdir: Path | None, watch: bool, check: bool, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> None:
    """Write the status pages: plain files that any browser and any web server can show."""
    if watch and check:
        raise click.UsageError("--watch and --check do not go together.")
    config = options.load(config_file, spool=spool, report=outdir)
    source = Spool(config.spool, create=False)
    if check:
        _check(source, config.report)
    elif watch:
        _watch(source, config.report, json_wanted=json_wanted)
    else:
        _show(report.write(source, config.report), json_wanted=json_wanted)


def _show(site: report.Site, *, json_wanted: bool) -> None:
    if json_wanted:
        click.echo(json.dumps({"index": str(site.index), "written": site.written, "kept": site.kept}))
    else:
        click.echo(site.index.as_uri())


def _watch(spool: Spool, target: Path, *, json_wanted: bool) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    first = True

    def told(happened: report.Site | SpoolError | str) -> None:
        nonlocal first
        if isinstance(happened, str):
            terminal.note(happened)
        elif isinstance(happened, SpoolError):
            terminal.note(f"{happened}; trying again")
        elif first or (json_wanted and happened.written + happened.removed):
            _show(happened, json_wanted=json_wanted)
            sys.stdout.flush()
            first = False

    try:
        report.follow(spool, target, told)
    except KeyboardInterrupt:
        sys.exit(0)


def _check(spool: Spool, target: Path) -> None:
    differing = report.differing(spool, target)
    for name in differing:
        click.echo(name)
    if differing:
        count = len(differing)
        told = f"{count} file{'' if count == 1 else 's'} of the report would be made otherwise anew"
        raise SpoolError(told, "remove what is named, and write the report again")
