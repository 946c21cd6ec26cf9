# SPDX-License-Identifier: GPL-2.0-or-later
"""`img pin`: a job that is to stay."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import marking, options, selecting

__all__ = ["command"]


@click.command("pin")
@selecting.jobs
@marking.reason
@options.spool
@options.configuration
@options.as_json
def command(
    given: tuple[str, ...], reason: str, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> None:
    """Have `img gc` never remove these jobs.

    The history says who pinned a job, where and why. The ids are printed.
    """
    marking.mark(options.load(config_file, spool=spool), given, marking.pinned(True), reason, json_wanted=json_wanted)
