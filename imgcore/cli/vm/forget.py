# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm forget`: a kept machine that nobody needs any more."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.atomic import failed
from imgcore.cli import options, selecting
from imgcore.executor.vm import keeping
from imgcore.jobs.choosing import one
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("forget")
@selecting.jobs
@options.spool
@options.configuration
def command(given: tuple[str, ...], spool: Path | None, config_file: Path | None) -> None:
    """Remove the machines that were kept of these JOBs; the jobs stay. Those that had none are as they were."""
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    for image_id in [one(there, each) for each in given]:
        try:
            keeping.forget(there.directory(image_id))
        except OSError as error:
            raise failed(there.directory(image_id), error, "removed") from error
