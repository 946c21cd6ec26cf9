# SPDX-License-Identifier: GPL-2.0-or-later
"""`img unpin`: a job that need not stay any more."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import marking, options, selecting

__all__ = ["command"]


@click.command("unpin")
@selecting.jobs
@marking.reason
@options.spool
@options.configuration
@options.as_json
def command(
    given: tuple[str, ...], reason: str, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> None:
    """Let `img gc` remove these jobs again."""
    marking.mark(
        options.load(config_file, spool=spool), given, marking.pinned(False), reason, json_wanted=json_wanted
    )
