# SPDX-License-Identifier: GPL-2.0-or-later
"""`img show`: everything about one job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from imgcore.amounts import duration, size
from imgcore.cli import options, printing, selecting, showing, table
from imgcore.job import Event, Job, Status, to_json
from imgcore.jobs.choosing import one
from imgcore.jobs.outcome import delivered, took
from imgcore.spool import Spool

__all__ = ["command", "told"]


@click.command("show")
@selecting.job
@options.spool
@options.configuration
@options.as_json
def command(given: str, spool: Path | None, config_file: Path | None, json_wanted: bool) -> None:
    """Show a job: what was asked for, what came of it, and its history.

    JOB is an id, the beginning of one that no other job has, or NAME@latest, NAME@good, NAME@failed: the newest of
    that name, the newest that has an image, the newest that failed. With --json: the record, and its `history`.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    job = there.read(one(there, given))
    history = there.history(job.image_id)
    if json_wanted:
        printing.as_json({**json.loads(to_json(job)), "history": history}, indent=2)
        return
    facts = [(label, value) for label, value in _facts(there, job) if value]
    wide = max(len(label) for label, _ in facts)
    for label, value in facts:
        table.echo(f"{label.ljust(wide)}  {table.cell(value)}")
    click.echo()
    for event in history:
        table.echo(told(event))


def _facts(spool: Spool, job: Job) -> Iterator[tuple[str, str]]:
    yield "job", job.image_id
    dead = job.status is Status.BUILDING and spool.lost(job)
    yield "state", f"{showing.word(job)}{', but its worker is dead: see `img fsck`' if dead else ''}"
    yield "error", job.error
    yield "remedy", job.error_remedy
    yield "cause", job.error_cause
    if job.status is Status.BUILDING:
        yield "phase", f"{job.phase} {job.progress:.0%} {job.progress_detail}"
    yield "image", f"{job.name}, {job.image_type} for {job.arch}"
    yield "asked", " ".join(filter(None, (showing.date(job.requested_at), job.user and f"by {job.user}")))
    yield "built", f"{showing.date(job.started_at)}, {duration(took(job))}" if job.started_at else ""
    yield "worker", showing.COLUMNS["worker"](job)
    yield "attempt", f"{job.attempt}, after {job.retry_of}" if job.retry_of else ""
    yield "priority", job.priority
    yield "pinned", "yes" if job.pinned else ""
    yield "tags", " ".join(job.tags)
    yield "tokens", ", ".join(f"{key}:{value}" for key, value in job.tokenmap.items())
    for field in ("packages", "groups", "extra_repos", "extra_opts"):
        yield field, " ".join(getattr(job, field))
    yield "warnings", "; ".join(job.warnings)
    if job.package_count:
        yield "contains", f"{job.package_count} packages, {size(delivered(job))}"
    yield "files", job.directory
    yield "url", job.image_url or job.files_url
    yield "record", str(spool.directory(job.image_id))


def told(event: Event) -> str:
    """An event as a line: when, what, who, where, why."""
    before, after = event.get("from", ""), event.get("to", "")
    what = after if before != after else "note"
    who = f" by {event['who']}" if event.get("who") else ""
    where = f" on {event['host']}" if event.get("host") and f"@{event['host']}" not in who else ""
    why = f": {event['reason']}" if event.get("reason") else ""
    return table.cell(f"{showing.date(event.get('time', ''))}  {what}{who}{where}{why}")
