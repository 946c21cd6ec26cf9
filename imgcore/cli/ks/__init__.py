# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks`: what can be done with a kickstart without building it; one file a subcommand."""

from __future__ import annotations

import click

from imgcore.cli.lazy import group_of

__all__ = ["command"]

_COMMANDS = ("check", "show", "diff", "augment", "convert", "generate", "schema")


@click.group("ks", cls=group_of(__name__, _COMMANDS), no_args_is_help=False)
def command() -> None:
    """Work with kickstarts without building an image."""
