# SPDX-License-Identifier: GPL-2.0-or-later
"""`img tag`: words to find a job by, put on it or taken from it."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import completion, marking, options, selecting
from imgcore.errors import InputError

__all__ = ["command"]


@click.command("tag")
@selecting.jobs
@click.option("--add", multiple=True, metavar="TAG", shell_complete=completion.tags, help="A tag more.")
@click.option("--remove", multiple=True, metavar="TAG", shell_complete=completion.tags, help="A tag less.")
@marking.reason
@options.spool
@options.configuration
@options.as_json
def command(
    given: tuple[str, ...],
    add: tuple[str, ...],
    remove: tuple[str, ...],
    reason: str,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> None:
    """Change the tags of jobs.

    The history says who did it, where and why. The ids are printed.
    """
    if not add and not remove:
        raise InputError("there is no tag to add or to remove", "give --add TAG or --remove TAG")
    config = options.load(config_file, spool=spool)
    marking.mark(config, given, marking.tagged(add, remove), reason, json_wanted=json_wanted)
