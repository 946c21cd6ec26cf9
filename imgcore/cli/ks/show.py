# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks show`: what a kickstart will build."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore import names
from imgcore.buildlog import printable
from imgcore.cli import options
from imgcore.cli.ks.given import given, includes
from imgcore.cli.terminal import note
from imgcore.cli.tokens import beside

__all__ = ["command"]


@click.command("show")
@click.argument("ks", metavar="KS", type=options.path)
@includes
@click.option(
    "--text", "whole", is_flag=True, help="Print the text instead: included files in place, tokens replaced."
)
@options.as_json
def command(ks: Path, root: Path | None, tokenmap: str, whole: bool, json_wanted: bool) -> int:
    """Print what the kickstart KS will build: repositories, packages, disks as a picture, system, scripts.

    Secrets are not shown. Lines that cannot be read are left out and counted; `img ks check` tells them.

    \b
    Exit codes: 0 shown, 1 some lines cannot be read, 2 bad input.
    """
    from imgcore.kickstart import redact
    from imgcore.kickstart.describe import as_text, as_values
    from imgcore.kickstart.mistakes import Grade
    from imgcore.kickstart.read import read_all
    from imgcore.kickstart.versions import recognise

    read = given(ks, root)
    found = read_all(
        read.content, read.name, root=read.root, tokens=read.tokens({**beside(ks), **names.tokenmap(tokenmap)})
    )
    if whole:
        click.echo(redact(found.kickstart.text), nl=False)
    else:
        values = {**as_values(found.kickstart), "dialect": recognise(found.kickstart).dialect.name}
        click.echo(json.dumps(values, indent=1) if json_wanted else printable(as_text(values)), nl=json_wanted)
    mistakes = sum(each.grade is Grade.ERROR for each in found.found)
    if mistakes:
        note(f"{mistakes} line{'' if mistakes == 1 else 's'} cannot be read: see `img ks check {ks}`")
    return 1 if mistakes else 0
