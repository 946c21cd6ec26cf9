# SPDX-License-Identifier: GPL-2.0-or-later
"""`img setup`: one machine, from nothing to its first image; `img setup broker` for many."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from imgcore import atomic, doctor
from imgcore.cli import options
from imgcore.cli.lazy import group_of
from imgcore.cli.setup import first
from imgcore.cli.terminal import note
from imgcore.config import Config
from imgcore.distribution import install_command
from imgcore.doctor import Check
from imgcore.errors import ImagerError, InputError
from imgcore.spool import Spool

__all__ = ["command"]


@click.group(
    "setup", cls=group_of(__name__, ("broker",)), invoke_without_command=True, no_args_is_help=False,
)  # fmt: skip
@click.option(
    "--ks", type=options.path, help="What to build first  [default: the example that comes with imager-doc]"
)
@click.option("--type", "image_type", type=options.text, default="fs", show_default=True, help="Its kind of image.")
@click.option("--tokenmap", type=options.text, help="What stands for each @TOKEN@ of it: K:V,K:V.")
@click.option("--yes", is_flag=True, help="Make the directories that are missing without asking.")
@options.spool
@options.configuration
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    ks: Path | None,
    image_type: str,
    tokenmap: str | None,
    yes: bool,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> int:
    """Bring this machine to its first image: see what is missing, make its directories, build.

    It says what to install and how, asks before it makes directories (without a terminal it wants to be told), builds
    the example or another kickstart, and says where image, log and page are. What is done already stays: run it again
    whenever something was mended.

    \b
    Exit codes: 0 the image is there, 1 something is missing or the build failed, 2 bad input.
    """
    if context.invoked_subcommand:
        return 0
    settings = options.load(config_file, spool=spool)
    kickstart = first.chosen(ks)
    checks = doctor.examine(settings)
    _stop_where_something_is_needed(checks, first.lacking(kickstart))
    made = _directories(settings, yes=yes)
    note("this machine has what a build needs")
    Spool(settings.spool)
    asked = first.Asked(kickstart, image_type, tokenmap, settings, config_file)
    image = first.found(asked) or first.build(asked)
    if json_wanted:
        told = {"checks": [dataclasses.asdict(each) for each in checks], "made": list(map(str, made)), "image": image}
        click.echo(json.dumps(told, indent=1))
        return 0
    for name, value in image.items():
        if value:
            click.echo(f"{name:<5} {value}")
    further = [each for each in checks if not each.ok and each.packages and not each.subject.startswith("tool mic")]
    if further:
        packages = dict.fromkeys(name for each in further for name in each.packages)
        note(f"for {', '.join(each.subject for each in further)}: {install_command(packages)}")
    return 0


def _stop_where_something_is_needed(checks: Sequence[Check], lacking: Sequence[str]) -> None:
    """Raises ImagerError with what to do before an image can be made."""
    needed = [each for each in checks if each.needed and not each.ok]
    packages = dict.fromkeys([*(name for each in needed for name in each.packages), *lacking])
    for each in needed:
        if not each.packages:
            note(f"missing: {each.subject}: {each.detail}" + (f"  → {each.remedy}" if each.remedy else ""))
    if packages:
        raise ImagerError(f"not installed: {', '.join(packages)}", f"{install_command(packages)}, then `img setup`")
    if needed:
        raise ImagerError(f"no image can be built here: {needed[0].subject}: {needed[0].detail}", needed[0].remedy)


def _directories(settings: Config, *, yes: bool) -> list[Path]:
    """Make the directories that the configuration names and that are not there; those."""
    places = (settings.spool, settings.base_dir, settings.cache, settings.report)
    missing = [each for each in places if not os.path.isdir(each)]  # noqa: PTH112 - never raises
    if missing and not yes:
        told = ", ".join(map(str, missing))
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError(f"not there yet: {told}", "--yes makes them, or choose others in imager.conf")
        if not click.confirm(f"Make {told}?", default=True, err=True):
            raise click.Abort
    for each in missing:
        # Records may have passwords, images are for everybody, whatever the umask.
        mode = 0o750 if each == settings.spool else 0o755
        atomic.make_directory(each, mode)
        each.chmod(mode)
        note(f"made {each}")
    return missing
