# SPDX-License-Identifier: GPL-2.0-or-later
"""`img diff`: what differs between two jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from imgcore.amounts import size
from imgcore.cli import completion, options, printing, showing, table
from imgcore.job import Job
from imgcore.jobs.choosing import one
from imgcore.jobs.outcome import delivered
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("diff")
@click.argument("before", metavar="JOB", type=options.text, shell_complete=completion.jobs)
@click.argument("after", metavar="JOB", type=options.text, shell_complete=completion.jobs)
@options.spool
@options.configuration
@options.as_json
def command(before: str, after: str, spool: Path | None, config_file: Path | None, json_wanted: bool) -> int:
    """Show what differs from one job to another: request, result, kickstart, packages, files.

    `img diff device@good device@failed` is what to begin with when a build fails. Passwords are masked.

    \b
    Exit codes: 0 nothing differs but how long they took, 1 they differ, 2 bad input.
    """
    # Only here: it takes longer to load than the rest.
    from imgcore.report import changes, kickstart

    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    old, new = (there.read(one(there, each)) for each in (before, after))
    found = changes.between(old, new, [kickstart.requested(there, each.image_id) for each in (old, new)])
    asked = [*_fields(old, new), *found.asked]
    packages = found.packages
    told: dict[str, Any] = {
        "before": old.image_id,
        "after": new.image_id,
        "asked": [_sides(*each) for each in asked],
        "result": [_sides(*each) for each in _results(old, new)],
        "kickstart": [each.text for each in found.kickstart],
        "packages": None if packages is None else [_sides(each.name, each.before, each.after) for each in packages],
        "files": [_sides(*each) for each in _files(old, new)],
    }
    if json_wanted:
        printing.as_json(told, indent=2)
    else:
        _show(told)
    return 1 if any(told[each] for each in ("asked", "result", "kickstart", "packages", "files")) else 0


def _sides(what: str, before: str, after: str) -> dict[str, str]:
    return {"what": what, "before": before, "after": after}


def _fields(old: Job, new: Job) -> Iterator[tuple[str, str, str]]:
    for name in ("name", "arch", "image_type", "prefix"):
        if getattr(old, name) != getattr(new, name):
            yield name, getattr(old, name), getattr(new, name)


def _results(old: Job, new: Job) -> Iterator[tuple[str, str, str]]:
    for label, of in (
        ("state", showing.word),
        ("error", lambda job: job.error),
        ("packages", lambda job: str(job.package_count)),
        ("size", lambda job: size(delivered(job))),
    ):
        if of(old) != of(new):
            yield label, of(old), of(new)


def _files(old: Job, new: Job) -> Iterator[tuple[str, str, str]]:
    """The files whose content differs, with the sizes; those of one side only have none on the other."""
    sides = [{each["name"]: each for each in job.artifacts} for job in (old, new)]
    for name in dict.fromkeys((*sides[0], *sides[1])):
        left, right = (side.get(name) for side in sides)
        if left is None or right is None or (left["sha256"], left["size"]) != (right["sha256"], right["size"]):
            yield name, size(left["size"]) if left else "", size(right["size"]) if right else ""


def _show(told: dict[str, Any]) -> None:
    table.echo(f"from {told['before']} to {told['after']}")
    for section in ("asked", "result", "files"):
        _section(
            section, [f"{each['what']}: {each['before'] or '-'} → {each['after'] or '-'}" for each in told[section]]
        )
    _section("kickstart", told["kickstart"])
    if told["packages"] is None:
        _section("packages", ["the packages of one of them are not known"])
    else:
        _section("packages", [_package(each) for each in told["packages"]])


def _package(each: dict[str, str]) -> str:
    if each["before"] and each["after"]:
        return f"  {each['what']} {each['before']} → {each['after']}"
    return f"- {each['what']} {each['before']}" if each["before"] else f"+ {each['what']} {each['after']}"


def _section(title: str, lines: list[str]) -> None:
    if lines:
        table.echo(click.style(f"\n{title}", bold=True))
    for line in lines:
        shown = "  " + "".join(each for each in line if each.isprintable())
        colour = {"+": "green", "-": "red"}.get(line[:1])
        table.echo(click.style(shown, fg=colour) if colour else shown)
