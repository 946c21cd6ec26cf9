# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks augment`: a kickstart with more, less or other things in it, and nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from imgcore import names
from imgcore.cli import options
from imgcore.cli.ks.findings import telling
from imgcore.cli.ks.given import Given, given
from imgcore.cli.ks.output import output, put
from imgcore.cli.terminal import note

__all__ = ["command"]


@click.command("augment")
@click.argument("ks", metavar="KS", type=options.path)
@click.option("--package", "packages", multiple=True, help="A package more.")
@click.option("--group", "groups", multiple=True, help="A package group more.")
@click.option(
    "--extra-repo", "extra_repos", multiple=True, metavar="URL", help="A repository more: URL, NAME=URL, line."
)
@click.option("--exclude", multiple=True, help="Exclude a package, or with @ a group.")
@click.option("--remove", multiple=True, help="Take out the lines of a package, or with @ of a group.")
@click.option(
    "--replace-repo", "replace_repos", multiple=True, metavar="NAME=URL", help="Another URL for a repository."
)
@click.option("--remove-repo", "remove_repos", multiple=True, metavar="NAME", help="Take out a repository.")
@click.option("--set", "commands", multiple=True, metavar="LINE", help="A command line, in the place of its like.")
@click.option("--remove-command", "remove_commands", multiple=True, help="Take out all lines of a command.")
@click.option("--section", "sections", multiple=True, type=options.path, metavar="FILE", help="A section more.")
@click.option("--tokenmap", default="", metavar="K:V,…", help="Values that are put in for @K@.")
@output
@options.as_json
def command(ks: Path, target: Path | None, in_place: bool, diff_wanted: bool, json_wanted: bool, **asked: Any) -> int:
    """Print the kickstart KS with what is asked for put in, taken out or replaced; all else stays as it is.

    What is there already is not put in again. Conflicts are told, all at once, and then nothing is written. The
    result is read again: mistakes that it has and KS had not are refused.

    \b
    Exit codes: 0 done, 1 it could not be written, 2 bad input.
    """
    from imgcore.kickstart import Changes, change, decode, redact_diff

    read = given(ks)
    text = decode(read.content, read.name)
    sections = [decode(given(each).content, str(each)) for each in asked.pop("sections")]
    tokens = names.tokenmap(asked.pop("tokenmap"))
    with telling(read.path):
        changed = change(text, Changes(sections=sections, tokens=tokens, **asked), read.name)
        _still_valid(read, read.tokens(tokens), text, changed.text)
    if json_wanted:
        click.echo(json.dumps({"kickstart": changed.text, "diff": redact_diff(changed.diff)}, indent=1))
    else:
        diff = redact_diff(changed.diff)
        put(ks, read.content, changed.text, diff, target=target, in_place=in_place, diff_wanted=diff_wanted)
        if not changed.diff:
            note(f"{ks}: nothing to change")
    return 0


def _still_valid(given: Given, tokens: Mapping[str, str], before: str, after: str) -> None:
    """Refuse a result that has mistakes which were not there; what it includes is not looked at."""
    from imgcore.kickstart import KickstartError
    from imgcore.kickstart.mistakes import Grade
    from imgcore.kickstart.read import read_all

    old, new = (
        read_all(text.encode("utf-8", "surrogateescape"), given.name, tokens=tokens) for text in (before, after)
    )
    known = {each.what for each in old.found}
    mistakes = [each for each in new.found if each.grade is Grade.ERROR and each.what not in known]
    if mistakes:
        error = KickstartError(mistakes)
        error.lines = {(line.place.file, line.place.line): line.text for line in new.lines}
        raise error
