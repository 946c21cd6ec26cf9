# SPDX-License-Identifier: GPL-2.0-or-later
"""`img export`: a job as one file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from imgcore.atomic import failed
from imgcore.cli import options, selecting
from imgcore.errors import InputError
from imgcore.jobs.choosing import one
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("export")
@selecting.job
@click.argument("target", metavar="[FILE]", required=False, type=options.path)
@options.spool
@options.configuration
@options.as_json
def command(given: str, target: Path | None, spool: Path | None, config_file: Path | None, json_wanted: bool) -> None:
    """Write an ended job to one file, with all that is needed to build it again.

    That is record, kickstart, history and log in FILE (ID.tar.gz; - is standard output); `img import` reads it. The
    image is not in it. The kickstart is as it was requested, with whatever passwords it holds.
    """
    from imgcore.jobs.archive import pack

    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    image_id = one(there, given)
    if target == Path("-"):
        if json_wanted or sys.stdout.isatty():
            raise InputError("standard output is for the archive", "redirect it, or name a file")
        pack(there, image_id, sys.stdout.buffer)
        return
    path = target or Path(f"{image_id}.tar.gz")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            try:
                pack(there, image_id, file)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise InputError(f"{path} is there already", "name another file, or remove it") from error
    except OSError as error:
        raise failed(path, error) from error
    click.echo(json.dumps({"image_id": image_id, "path": str(path.absolute())}) if json_wanted else str(path))
