# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks diff`: what differs between two kickstarts by meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgcore import names
from imgcore.buildlog import printable
from imgcore.cli import options
from imgcore.cli.ks.findings import telling
from imgcore.cli.ks.given import given, includes

if TYPE_CHECKING:
    from imgcore.kickstart.compare import Difference

__all__ = ["command"]


@click.command("diff")
@click.argument("before", metavar="OLD", type=options.path)
@click.argument("after", metavar="NEW", type=options.path)
@includes
@options.as_json
def command(before: Path, after: Path, root: Path | None, tokenmap: str, json_wanted: bool) -> int:
    """Print what the kickstart NEW says in another way than OLD; order, comments and spelling do not matter.

    \b
    Exit codes: 0 they mean the same, 1 they differ, 2 bad input.
    """
    from imgcore.kickstart import read
    from imgcore.kickstart.compare import differences

    sides = [given(each, root) for each in (before, after)]
    tokens = names.tokenmap(tokenmap)
    kickstarts = []
    for each in sides:
        with telling(each.path):
            kickstarts.append(read(each.content, each.name, root=each.root, tokens=each.tokens(tokens)))
    found = differences(*kickstarts)
    if json_wanted:
        click.echo(json.dumps([vars(each) for each in found], indent=1))
    else:
        for difference in found:
            click.echo("\n".join(map(printable, _lines(difference))))
    return 1 if found else 0


def _lines(each: Difference) -> Iterator[str]:
    how = "added" if not each.before else "gone" if not each.after else "differs"
    yield f"{each.kind} {each.what}: {how}"
    if "listed" not in (each.before, each.after) or how == "differs":
        yield from (f"  - {line}" for line in each.before.splitlines())
        yield from (f"  + {line}" for line in each.after.splitlines())
