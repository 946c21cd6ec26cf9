# SPDX-License-Identifier: GPL-2.0-or-later
"""`img jobs`: the jobs of the spool, the newest first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from imgcore.cli import options, printing, selecting, showing, table
from imgcore.cli.terminal import note
from imgcore.errors import InputError
from imgcore.job import Job, to_json
from imgcore.jobs import outcome
from imgcore.spool import Spool

__all__ = ["command"]

_USUAL = "id,state,type,arch,age,took,size,tags,what"
_LIMIT = 50
#: What jobs are sorted by; newest costs nothing, all else reads every job that is meant.
_ORDERS: Mapping[str, tuple[Callable[[Job], Any], bool]] = {
    "oldest": (lambda job: job.requested_at, False),
    "finished": (lambda job: job.finished_at, True),
    "name": (lambda job: (job.name, job.requested_at), False),
    "state": (lambda job: (showing.word(job), job.requested_at), False),
    "took": (outcome.took, True),
    "size": (outcome.delivered, True),
}


def _columns(value: str) -> list[str]:
    wanted = [each.strip() for each in value.split(",")]
    for each in wanted:
        if each not in showing.COLUMNS:
            raise click.BadParameter(f"{each!r} is none of {', '.join(showing.COLUMNS)}.")
    return wanted


@click.command("jobs")
@selecting.selected
@click.option(
    "--columns", type=_columns, default=_USUAL, show_default=True, help=f"Some of {', '.join(showing.COLUMNS)}."
)
@click.option("--sort", type=click.Choice(["newest", *_ORDERS]), default="newest", show_default=True, help="By what.")
@click.option(
    "-n", "--limit", type=click.IntRange(0), default=_LIMIT, show_default=True, help="At most so many; 0: all."
)
@click.option("--watch", is_flag=True, help="Show it anew every two seconds until Ctrl-C.")
@options.spool
@options.configuration
@options.as_json
def command(
    columns: list[str],
    sort: str,
    limit: int,
    watch: bool,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
    **given: Any,
) -> None:
    """List jobs.

    The last requested come first. --name, --user, --tag and so on take patterns (tiny*), each can be given more than
    once, and a job has to fit all that is asked for. With --json each job is its record on a line of its own.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    selection = selecting.selection(given)
    if watch:
        if json_wanted:
            raise InputError("--watch is for people, --json for programs", "give one of them")
        from imgcore.cli.live import live

        live(
            lambda width, height: _lines(
                _sorted(selection.of(there), sort), columns, min(limit or height, height - 1), width
            )
        )
        return
    found = _sorted(selection.of(there, selecting.tell_damage), sort)
    shown = itertools.islice(found, limit) if limit else found
    if json_wanted:
        for job in shown:
            printing.as_json(json.loads(to_json(job)))
        return
    table.show(_titles(columns), _rows(shown, columns), showing.RIGHT)
    if limit and next(found, None):
        note(f"note: there are more than {limit}; --limit 0 shows all, filters fewer")


def _sorted(jobs: Iterator[Job], sort: str) -> Iterator[Job]:
    if sort == "newest":
        return jobs
    key, falling = _ORDERS[sort]
    return iter(sorted(jobs, key=key, reverse=falling))


def _titles(columns: list[str]) -> list[str]:
    return [each.upper() for each in columns]


def _rows(jobs: Iterable[Job], columns: list[str]) -> Iterator[list[str]]:
    return ([showing.COLUMNS[each](job) for each in columns] for job in jobs)


def _lines(jobs: Iterator[Job], columns: list[str], most: int, width: int) -> list[str]:
    return list(table.lines(_titles(columns), _rows(itertools.islice(jobs, most), columns), showing.RIGHT, width))
