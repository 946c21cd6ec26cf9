# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks convert`: a kickstart in another dialect."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore.buildlog import printable
from imgcore.cli import options
from imgcore.cli.ks.given import given
from imgcore.cli.ks.output import output, put
from imgcore.cli.terminal import note

__all__ = ["command"]


@click.command("convert")
@click.argument("ks", metavar="KS", type=options.path)
@click.option("--to", "name", required=True, help="The dialect: mic, fedora, f41, rhel9, …")
@output
@options.as_json
def command(ks: Path, name: str, target: Path | None, in_place: bool, diff_wanted: bool, json_wanted: bool) -> int:
    """Print the kickstart KS as another dialect has it. What cannot be carried over becomes a comment, and is told.

    \b
    Exit codes: 0 everything was carried over, 1 not everything, 2 bad input.
    """
    from imgcore.kickstart import decode, redact_diff
    from imgcore.kickstart.convert import convert
    from imgcore.kickstart.versions import dialect

    read = given(ks)
    done = convert(decode(read.content, read.name), read.name, dialect(name))
    diff = redact_diff(done.diff)
    if json_wanted:
        lost = [{"line": each.place.line, "what": each.what, "word": each.word} for each in done.lost]
        click.echo(json.dumps({"kickstart": done.text, "diff": diff, "lost": lost}, indent=1))
    else:
        put(ks, read.content, done.text, diff, target=target, in_place=in_place, diff_wanted=diff_wanted)
        for each in done.lost:
            note(printable(f"{read.path(each.place.file)}:{each.place.line}: {each.grade}: {each.what}"))
    return 1 if done.lost else 0
