# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks that people put on jobs, and what the history says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from imgcore import names
from imgcore.cli import options
from imgcore.config import Config
from imgcore.job import Job, to_json
from imgcore.jobs import choosing
from imgcore.spool import Spool

__all__ = ["mark", "pinned", "reason", "tagged"]

_F = TypeVar("_F", bound=Callable[..., Any])
#: From a job to what is to change, and how the history puts it.
_Mark = Callable[[Job], tuple[dict[str, object], str]]
_LONGEST = 300


def reason(function: _F) -> _F:
    """`--reason`."""
    return click.option("--reason", default="", help="What the history shall say of it.")(function)


def pinned(value: bool) -> _Mark:
    """Pinned, or not any more."""
    return lambda job: ({"pinned": value} if job.pinned is not value else {}, "pinned" if value else "unpinned")


def tagged(add: Sequence[str], remove: Sequence[str]) -> _Mark:
    """Some tags more, some less. Raises InputError."""
    more, less = [names.tag(each) for each in add], frozenset(remove)

    def change(job: Job) -> tuple[dict[str, object], str]:
        tags = tuple(each for each in dict.fromkeys((*job.tags, *more)) if each not in less)
        said = [f"tag {each} added" for each in tags if each not in job.tags]
        said += [f"tag {each} removed" for each in job.tags if each not in tags]
        return ({"tags": tags} if said else {}, ", ".join(said))

    return change


def mark(config: Config, given: Sequence[str], change: _Mark, why: str, *, json_wanted: bool) -> None:
    """Change the jobs, each as its record is at that moment; nothing where one of them is not there."""
    spool = Spool(config.spool, create=False)
    ids = list(dict.fromkeys(choosing.one(spool, each) for each in given))
    because = "".join(each for each in " ".join(why.split()) if each.isprintable())[:_LONGEST]
    for image_id in ids:
        with spool.edit(image_id) as edit:
            changes, said = change(edit.job)
            if changes:
                edit.note(f"{said}: {because}" if because else said, options.who(), **changes)
            job = edit.job
        click.echo(to_json(job).decode() if json_wanted else image_id, nl=not json_wanted)
