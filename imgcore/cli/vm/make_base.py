# SPDX-License-Identifier: GPL-2.0-or-later
"""`img vm make-base`: the root of another system, for machines of it."""

from __future__ import annotations

from pathlib import Path

import click

from imgcore import names
from imgcore.cli import options
from imgcore.cli.vm import making
from imgcore.errors import InputError
from imgcore.executor.vm import debootstrap

__all__ = ["command"]


@click.command("make-base")
@click.argument("name")
@click.argument("ks", metavar="[KS]", type=options.path, required=False)
@click.option("--debootstrap", "suite", type=options.text, metavar="SUITE", help="Debian's, such as bookworm.")
@click.option("--mirror", default="", metavar="URL", help="Where debootstrap gets it.")
@click.option("--package", multiple=True, help="A package more, such as python3-dnf.")
@click.option("--tokenmap", default="", metavar="K:V,…", help="Values for @K@ in the kickstart.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@options.configuration
@options.as_json
def command(
    name: str,
    ks: Path | None,
    suite: str | None,
    mirror: str,
    package: tuple[str, ...],
    tokenmap: str,
    quiet: bool,
    config_file: Path | None,
    json_wanted: bool,
) -> None:
    """Make the base image NAME of the kickstart KS, or by debootstrap.

    The kickstart is built as a job of its own by the built-in tool; its file system becomes the base. debootstrap
    needs root. The base is kept when a machine of it started.

    \b
    For example, a Debian in which the built-in tool can work:
      img vm make-base bookworm --debootstrap bookworm --package python3-dnf --package python3-rpm
    """
    if (ks is None) == (suite is None):
        raise InputError("a base image is made of a kickstart or by --debootstrap", "give one of the two")
    if suite is not None:
        if tokenmap:
            raise InputError("--tokenmap is for a kickstart", "leave it out")
        recipe = debootstrap.recipe(suite, mirror, package)
    elif mirror:
        raise InputError("--mirror is for --debootstrap", "a kickstart has `repo` lines")
    else:
        names.tokenmap(tokenmap)
        path = str(Path(ks or "").absolute())
        recipe = {"how": "kickstart", "kickstart": path, "tokenmap": tokenmap, "packages": list(package)}
    making.add(options.load(config_file), names.word("base", name), recipe, quiet=quiet, json_wanted=json_wanted)
