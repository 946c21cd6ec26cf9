# SPDX-License-Identifier: GPL-2.0-or-later
"""`img doctor`: what this machine can build, and what to install for the rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from imgcore import doctor
from imgcore.cli import options

__all__ = ["command"]


@click.command("doctor")
@click.option("--can-build", is_flag=True, help="Print nothing; only tell by the exit code.")
@click.option("--executor", type=click.Choice(["auto", "direct", "sudo", "vm"]), help="Look at this executor.")
@options.spool
@options.configuration
@options.as_json
def command(
    can_build: bool, executor: str | None, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> int:
    """Say what of this machine can build what, and what to install for the rest.

    \b
    Exit codes: 0 images can be built here, 1 something that is needed is missing.
    """
    checks = doctor.examine(options.load(config_file, spool=spool, executor=executor))
    if json_wanted:
        click.echo(json.dumps([dataclasses.asdict(each) for each in checks], indent=1))
    elif not can_build:
        for each in checks:
            mark = "ok     " if each.ok else "MISSING" if each.needed else "no     "
            click.echo(f"{mark} {each.subject}: {each.detail}" + (f"  → {each.remedy}" if each.remedy else ""))
    return 0 if doctor.can_build(checks) else 1
