# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks generate`: kickstarts from YAML in the dialects of Mer's and MeeGo's kickstarter."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from imgcore import atomic, names
from imgcore.cli import options
from imgcore.cli.ks.findings import FORMATS, Finding, as_json, rendered
from imgcore.errors import InputError
from imgcore.kickstarter import Generated, KickstarterError, Mistake, Request, generate

__all__ = ["command"]


@click.command("generate")
@click.argument("yaml", metavar="FILE.yaml", type=options.path)
@click.option("--name", type=options.text, help="Only the image of that Name or FileName, active or not.")
@click.option(
    "--outdir",
    type=options.path,
    default=Path(),
    help="Where the kickstarts are put; - is standard output  [default: .]",
)
@click.option("--external", type=options.path, multiple=True, metavar="DIR", help="A directory more to read from.")
@click.option("--repos", type=options.path, multiple=True, metavar="FILE", help="A file more with repositories.")
@click.option(
    "--root", type=options.path, help="Above all files that may be read  [default: the directory of FILE.yaml]"
)
@click.option("--tokenmap", default="", metavar="K:V,…", help="Values for @K@ in the URLs of repositories.")
@click.option("--dialect", type=click.Choice(["mer", "meego"]), help="The dialect  [default: by what the file says]")
@click.option(
    "--tool", type=click.Choice(["builtin", "mic", "mic2"]), default="mic",
    help="Which tool will build; builtin tells what it refuses.", show_default=True,
)  # fmt: skip
@click.option(
    "--lenient", is_flag=True, help="Only warn of keys, sections, repositories and scripts that are not there."
)
@click.option(
    "--format", "form", type=click.Choice([each for each in FORMATS if each != "json"]), default="text",
    help="How mistakes are told; all but text on standard output, instead of the paths.", show_default=True,
)  # fmt: skip
@options.as_json
def command(yaml: Path, outdir: Path, form: str, json_wanted: bool, **given: Any) -> int:
    """Make the kickstarts of all active images that FILE.yaml describes, or of the one that --name says.

    Each is OUTDIR/FILENAME.ks, and its path is printed. All mistakes are told at once as FILE:LINE:COLUMN: error: …,
    and then nothing is written. `img build FILE.yaml --name NAME` builds at once.

    \b
    Exit codes: 0 they are there, 1 they could not be written, 2 bad input.
    """
    printed = outdir == Path("-")
    if printed and form != "text":
        raise InputError(f"--format {form}: standard output is for the kickstarts", "give another --outdir")
    request = Request(
        path=yaml,
        name=given["name"] or "",
        root=given["root"],
        external=given["external"],
        repos=given["repos"],
        tokens=names.tokenmap(given["tokenmap"]),
        dialect=given["dialect"] or "",
        tool=given["tool"],
        lenient=given["lenient"],
    )
    try:
        found, warnings = generate(request)
    except KickstarterError as error:
        _tell(error.mistakes, form, (), json_wanted)
        return error.exit_code
    if printed and not json_wanted:
        _tell(warnings, form)
        click.echo("".join(each.text for each in found), nl=False)
        return 0
    made = []
    for each in found:
        path = "" if printed else str(_put(outdir, each))
        made.append({**dataclasses.asdict(each), "path": path})
        if not json_wanted and form == "text":
            click.echo(path)
    _tell(warnings, form, made, json_wanted)
    return 0


def _tell(
    mistakes: Iterable[Mistake], form: str, made: Sequence[Mapping[str, object]] = (), json_wanted: bool = False
) -> None:
    found = [_finding(each) for each in mistakes]
    if json_wanted:
        click.echo(json.dumps({"kickstarts": made, "mistakes": [as_json(each) for each in found]}, indent=1))
    click.echo(rendered(found, "text" if json_wanted else form), nl=False, err=json_wanted or form == "text")


def _finding(mistake: Mistake) -> Finding:
    spot = mistake.spot
    return Finding(spot.file, spot.line, spot.column, mistake.grade, "yaml", mistake.about, mistake.remedy, "")


def _put(directory: Path, generated: Generated) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.failed(directory, error) from error
    path = directory / f"{generated.file_name}.ks"
    atomic.replace(path, generated.text.encode())
    return path
