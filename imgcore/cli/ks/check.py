# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks check`: everything that is wrong with kickstarts, or will not be as it was asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from imgcore import names
from imgcore.cli import options
from imgcore.cli.ks.findings import FORMATS, Finding, finding, rendered
from imgcore.cli.ks.given import given, includes
from imgcore.cli.terminal import note
from imgcore.cli.tokens import beside
from imgcore.errors import InputError

__all__ = ["command"]

_GRADES = ("note", "warning", "error")
#: From so many files on, starting processes for them is worth it.
_MANY = 8


@dataclass(frozen=True)
class _How:
    """How every file is looked at."""

    root: Path | None
    tokens: Mapping[str, str]
    arch: str
    dialect: str
    tools: tuple[str, ...]
    image_type: str
    online: bool


@click.command("check")
@click.argument("paths", metavar="KS…", type=options.path, nargs=-1, required=True)
@includes
@click.option("--dialect", default="", help="mic, fedora, f41, rhel9, …  [default: as recognised]")
@click.option(
    "--tool",
    "tools",
    multiple=True,
    type=click.Choice(["builtin", "mic", "mic2", "all"]),
    help="What will build it: what it refuses is an error then.",
)
@click.option("--type", "image_type", default="", help="The image's type  [default: as the kickstart says]")
@click.option("--arch", default="", help="Value of @ARCH@  [default: as the kickstart says, or of this machine]")
@click.option("--online", is_flag=True, help="Ask the repositories too: are they there, have they the packages?")
@click.option("--grade", type=click.Choice(_GRADES), default="warning", show_default=True, help="The least to tell.")
@click.option("--strict", is_flag=True, help="End with 1 for a warning too.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@options.as_json
def command(
    paths: Sequence[Path],
    root: Path | None,
    tokenmap: str,
    arch: str,
    dialect: str,
    tools: tuple[str, ...],
    image_type: str,
    online: bool,
    grade: str,
    strict: bool,
    form: str,
    json_wanted: bool,
) -> int:
    """Tell all that is wrong with the kickstarts KS at once. Of a directory every *.ks is meant, - is standard input.

    A line each: FILE:LINE:COLUMN: GRADE: what it is, and what to do about it. An error cannot be built; a warning is
    of something that will be ignored, is on its way out or stands twice; a note is worth knowing.

    \b
    Exit codes: 0 no errors, 1 errors, 2 bad input.
    """
    every = ("builtin", "mic", "mic2") if "all" in tools else tools
    how = _How(root, names.tokenmap(tokenmap), arch, dialect, every, image_type, online)
    files = list(_files(paths))
    found = [each for several in _examined(files, how) for each in several]
    told = [each for each in found if _GRADES.index(each.grade) >= _GRADES.index(grade)]
    click.echo(rendered(told, "json" if json_wanted else form), nl=False)
    counts = Counter(each.grade for each in found)
    if form == "text" and not json_wanted:
        note(f"{_count(len(files), 'kickstart')}: {', '.join(_count(counts[each], each) for each in _GRADES[::-1])}")
    return 1 if counts["error"] or (strict and counts["warning"]) else 0


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            below = sorted(each for each in path.rglob("*.ks") if each.is_file())
            if not below:
                raise InputError(f"directory {path} has no file *.ks", "name the files")
            yield from below
        else:
            yield path


def _examined(files: Sequence[Path], how: _How) -> Iterator[list[Finding]]:
    if len(files) < _MANY:
        yield from map(partial(_findings, how=how), files)
        return
    # Only now: one file is to be checked soon. And before the processes are made, so that each has it already.
    from concurrent.futures import ProcessPoolExecutor

    import imgcore.kickstart.examine  # noqa: F401

    workers = min(len(os.sched_getaffinity(0)), len(files))
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(partial(_findings, how=how), files, chunksize=max(1, len(files) // (workers * 8)))


def _findings(path: Path, how: _How) -> list[Finding]:
    """What was found in one file; one that is no kickstart is an error in it, not the end."""
    from imgcore.kickstart.examine import examine

    read = given(path, how.root)
    try:
        seen = examine(
            read.content,
            read.name,
            root=read.root,
            tokens=read.tokens({**beside(path), **how.tokens}, how.arch),
            dialect_name=how.dialect,
            tools=how.tools,
            image_type=how.image_type,
            online=how.online,
        )
    except InputError as error:
        if how.dialect and error.message.startswith("dialect"):
            raise
        return [Finding(read.path(read.name), 1, 0, "error", "syntax", error.message, error.remedy, "")]
    return [finding(each, seen.lines, read.path) for each in seen.found]
