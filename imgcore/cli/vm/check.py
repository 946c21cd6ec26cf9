# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm check`: whether base images are whole, start, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from imgcore.cli import options
from imgcore.cli.terminal import shown
from imgcore.cli.vm import making
from imgcore.config import Config
from imgcore.errors import ImagerError
from imgcore.executor.vm import bases
from imgcore.progress import Observer, Progress

__all__ = ["command"]


@click.command("check")
@click.argument("name", required=False)
@options.configuration
@options.as_json
def command(name: str | None, config_file: Path | None, json_wanted: bool) -> int:
    """See whether the base image NAME (or each) is the file that it was, starts, and which tools can work in it.

    \b
    Exit codes: 0 all are well, 1 one is not.
    """
    config = options.load(config_file)
    directory = config.vm.bases
    wanted = [bases.read(directory, name).name] if name else bases.known(directory)
    with shown(quiet=json_wanted, verbose=False) as observer:
        results = [_result(config, each, observer) for each in wanted]
    if json_wanted:
        click.echo(json.dumps(results, indent=1))
    else:
        for each in results:
            mark = "BAD" if each["error"] else "ok "
            click.echo(f"{mark} {each['name']}: {each['error'] or making.describe(each['found'])}")
    return 1 if any(each["error"] for each in results) else 0


def _result(config: Config, name: str, observer: Observer) -> dict[str, Any]:
    observer.progress(Progress(name))
    try:
        with bases.adding(config.vm.bases, name):
            base = bases.read(config.vm.bases, name)
            if bases.digest(base.file) != base.sha256:
                error = f"{base.file} is not as it was made: `img vm update {name}` makes it anew"
                return {"name": name, "error": error, "found": {}}
            base = bases.updated(config.vm.bases, base, making.probed(config, base, observer))
    except ImagerError as error:
        return {"name": name, "error": str(error), "found": {}}
    return {"name": name, "error": "", "found": dict(base.found)}
