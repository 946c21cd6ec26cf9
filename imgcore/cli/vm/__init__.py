# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm`: the virtual machines that builds get, and the base images of which they can be; one file a subcommand."""

from __future__ import annotations

import click

from imgcore.cli.lazy import group_of

__all__ = ["command"]

_COMMANDS = ("shell", "forget", "make-base", "import", "list", "check", "update", "remove")


@click.group("vm", cls=group_of(__name__, _COMMANDS), no_args_is_help=False)
def command() -> None:
    """Look at the virtual machines of the executor vm, and keep the base images that they are made of.

    Without a base image (img build --vm-base NAME, or [vm] base) a machine has the system that is installed here.
    """
