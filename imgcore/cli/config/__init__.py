# SPDX-License-Identifier: GPL-2.0-or-later
"""`img config`: what is configured here, and whether it can be used; one file a subcommand."""

from __future__ import annotations

import click

from imgcore.cli.lazy import group_of

__all__ = ["command"]


@click.group("config", cls=group_of(__name__, ("check", "show")), no_args_is_help=False)
def command() -> None:
    """Look at the configuration."""
