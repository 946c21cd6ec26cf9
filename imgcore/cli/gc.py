# SPDX-License-Identifier: GPL-2.0-or-later
"""`img gc`: remove jobs that nobody needs any more, with their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from imgcore.amounts import size
from imgcore.cli import completion, options, selecting, showing, table
from imgcore.cli.terminal import note
from imgcore.config import parse_size
from imgcore.errors import ImagerError, InputError
from imgcore.executor import KEPT
from imgcore.jobs import gc
from imgcore.jobs.selection import STATES, Selection
from imgcore.spool import Spool

__all__ = ["command"]

_ENDED = ("done", "tested", "failed", "cancelled")


def _bytes(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("gc")
@click.option("--older-than", type=selecting.moment, metavar="TIME", help="Ended before: 30d, 12h, 2026-01-31.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="All but the last N of each kind.")
@click.option(
    "--max-size", type=_bytes, metavar="SIZE", help="The oldest, until all jobs together have at most this: 50G."
)
@click.option("--state", multiple=True, type=click.Choice(_ENDED), help="In this state; can be repeated.")
@click.option("--name", multiple=True, shell_complete=completion.image_names, help="Of this name, or pattern.")
@click.option("--yes", is_flag=True, help="Remove them.")
@click.option("--outdir", multiple=True, type=options.path, help="One more place where images were put.")
@options.spool
@options.configuration
@options.as_json
def command(
    older_than: datetime | None,
    keep: int | None,
    max_size: int | None,
    state: tuple[str, ...],
    name: tuple[str, ...],
    yes: bool,
    outdir: tuple[Path, ...],
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> int:
    """Remove ended jobs: record, log and published files.

    Without --yes it says what it would remove and removes nothing. A job has to fit all that is given. Jobs of the
    same prefix, name, architecture and type are of a kind. Never removed are pinned jobs, those that wait or are
    built, and the last good image of each kind. With a job goes the virtual machine that is kept of its failure.
    """
    if older_than is None and keep is None and max_size is None and not state:
        raise InputError(
            "what may be removed is not said", "give --older-than, --keep, --max-size or --state; see --help"
        )
    config = options.load(config_file, spool=spool)
    there = Spool(config.spool, create=False)
    places = [config.base_dir, *(each.absolute() for each in outdir)]
    selection = Selection(states=tuple(STATES[each] for each in state), names=name)
    policy = gc.Policy(selection, older_than, keep, max_size)
    if not yes:
        _tell(there, gc.plan(there, policy, places, selecting.tell_damage), gc.interrupted(there), json_wanted)
        return 0
    with gc.alone(there):
        freed = 0
        removed: list[gc.Candidate] = []
        failed: list[str] = []
        for image_id in gc.interrupted(there):
            with _going_on(image_id, failed):
                freed += gc.resume(there, image_id, places)
        for each in gc.plan(there, policy, places, selecting.tell_damage):
            if each.spared:
                note(f"note: {each.job.image_id} stays: {each.spared}")
                continue
            with _going_on(each.job.image_id, failed):
                if got := gc.remove(there, each, places):
                    freed += got
                    removed.append(each)
                    if not json_wanted:
                        click.echo(each.job.image_id)
    if json_wanted:
        click.echo(json.dumps({"removed": [_told(each) for each in removed], "freed": freed, "failed": failed}))
    else:
        note(f"{_number(len(removed))} removed, {size(freed)} freed")
    return 1 if failed else 0


@contextmanager
def _going_on(image_id: str, failed: list[str]) -> Iterator[None]:
    """One job that cannot be removed is told, and keeps none of the others."""
    try:
        yield
    except ImagerError as error:
        failed.append(image_id)
        note(f"img: {error}")


def _tell(there: Spool, candidates: list[gc.Candidate], interrupted: list[str], json_wanted: bool) -> None:
    """What would be removed, and that nothing is."""
    going = [each for each in candidates if not each.spared]
    total = sum(each.bytes for each in going)
    if json_wanted:
        spared = [{"image_id": each.job.image_id, "why": each.spared} for each in candidates if each.spared]
        removed = [{**_told(each), "machine_bytes": _machine(there, each)} for each in going]
        told = {"would_remove": removed, "would_free": total, "spared": spared, "interrupted": interrupted}
        click.echo(json.dumps(told, indent=2))
        return
    rows = (
        (each.job.image_id, showing.word(each.job), showing.date(each.job.finished_at), size(each.bytes))
        for each in going
    )
    table.show(("ID", "STATE", "ENDED", "SIZE"), rows, {"SIZE"})
    for each in going:
        if machine := _machine(there, each):
            note(f"note: with {each.job.image_id} goes the virtual machine kept of it: {size(machine)} of that")
    for each in candidates:
        if each.spared:
            note(f"note: {each.job.image_id} stays: {each.spared}")
    if interrupted:
        note(f"note: the removal of {_number(len(interrupted))} was interrupted; --yes ends it too")
    note(f"{_number(len(going))} would be removed, {size(total)} freed" + ("; --yes does it" if going else ""))


def _machine(there: Spool, each: gc.Candidate) -> int:
    """The bytes of what is kept of a virtual machine whose build failed; they are among those of the job."""
    kept = there.directory(each.job.image_id) / KEPT
    return gc.used(kept) if kept.exists() else 0


def _told(each: gc.Candidate) -> dict[str, Any]:
    return {
        "image_id": each.job.image_id,
        "status": str(each.job.status),
        "finished_at": each.job.finished_at,
        "bytes": each.bytes,
        "directory": str(each.files or ""),
    }


def _number(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
