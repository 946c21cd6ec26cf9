# SPDX-License-Identifier: GPL-2.0-or-later
"""`img keeper`: writes into this machine's spool what the workers of a farm tell of its jobs."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore.cli import farm, options

__all__ = ["command"]


@click.command("keeper")
@farm.broker
@options.spool
@options.configuration
def command(address: str | None, password_file: Path | None, spool: Path | None, config_file: Path | None) -> int:
    """Record what the workers of a farm tell.

    It writes into the spool what workers on other machines tell of its jobs. One runs where the spool is, in the
    foreground, until SIGTERM or Ctrl-C. It is the participant update_image_status, and takes what comes to the
    queue of that name.
    """
    from imgcore.cli.host import host, named

    options.export(config_file, spool)
    name, _lock = named(farm.STATUS_QUEUE, farm.STATUS_QUEUE)
    return host("update_image_status", name, {"queue": farm.STATUS_QUEUE}, address, password_file)
