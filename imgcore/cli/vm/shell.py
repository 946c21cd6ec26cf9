# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm shell`: a machine such as a job gets, to look at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from imgcore.cli import completion, options
from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.executor import local
from imgcore.executor.vm import keeping
from imgcore.jobs.choosing import one
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("shell")
@click.argument("given", metavar="[JOB]", required=False, type=options.text, shell_complete=completion.jobs)
@click.option("--base", type=options.text, metavar="NAME", help="Of this base image  [default: as configured]")
@click.option("--network", type=click.Choice(["none", "open"]), help="What it may reach; else as for a job.")
@options.spool
@options.configuration
def command(
    given: str | None, base: str | None, network: str | None, spool: Path | None, config_file: Path | None
) -> int:
    """Open a shell in a machine such as a job gets; it is gone when the shell ends.

    It is the machine's root, outside of the sandbox in which a job's tool runs. Nothing in it is kept. With JOB,
    whose machine was kept when its build failed, /scratch/work/imager has a copy of what the build wrote: build/root
    is the image's root tree.
    """
    config = options.load(config_file, spool=spool)
    kept = _kept(config, given) if given else None
    config.cache.mkdir(parents=True, exist_ok=True)
    settings = dataclasses.replace(config.vm, base=base or config.vm.base, network=network or config.vm.network)
    return local.shell(settings, config.cache, kept)


def _kept(config: Config, given: str) -> Path:
    there = Spool(config.spool, create=False)
    image_id = one(there, given)
    kept = keeping.disk_of(there.directory(image_id))
    if kept is None:
        raise InputError(
            f"no machine of job {image_id} is kept here",
            "`img build --keep-vm-on-failure`, or [vm] keep_on_failure, keeps those of builds that fail",
        )
    return kept
