# SPDX-License-Identifier: GPL-2.0-or-later
"""`img stats`: how builds end, how long they take, why they fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from imgcore.amounts import duration, size
from imgcore.cli import options, printing, selecting, table
from imgcore.jobs import stats
from imgcore.jobs.selection import STATES
from imgcore.spool import Spool

__all__ = ["command"]

_TITLES = ("GOOD", "FAILED", "CANCELLED", "SUCCESS", "MEDIAN", "LAST GOOD", "LAST FAILED")


@click.command("stats")
@selecting.selected
@options.spool
@options.configuration
@options.as_json
def command(spool: Path | None, config_file: Path | None, json_wanted: bool, **given: Any) -> None:
    """Count jobs: by state, by name, by worker, and failures by cause.

    `--since 7d` looks at one week, `--name` at some images. Durations are of builds that made their image.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    found = stats.of(selecting.selection(given).of(there, selecting.tell_damage))
    if json_wanted:
        printing.as_json(_told(found), indent=2)
        return
    counts = [(word, found.states[status]) for word, status in STATES.items() if found.states[status]]
    table.show(("STATE", "JOBS"), counts, {"JOBS"})
    if not counts:
        return
    rate = "" if found.all.success is None else f"success {found.all.success}%, median {duration(found.all.median)}, "
    click.echo(f"\n{rate}delivered {size(found.delivered)}\n")
    _groups("NAME", found.names)
    if found.workers:
        click.echo()
        _groups("WORKER", found.workers)
    if found.causes:
        click.echo()
        table.show(("CAUSE", "FAILURES"), found.causes.most_common(), {"FAILURES"})


def _groups(title: str, groups: Mapping[str, stats.Group]) -> None:
    rows = (
        (name, each.good, each.failed, each.cancelled, "" if each.success is None else f"{each.success}%",
         duration(each.median) if each.seconds else "", each.last_good, each.last_failed)
        for name, each in sorted(groups.items())
    )  # fmt: skip
    table.show((title, *_TITLES), rows, set(_TITLES[:5]))


def _told(found: stats.Stats) -> dict[str, Any]:
    return {
        "states": {word: found.states[status] for word, status in STATES.items()},
        **_group(found.all),
        "delivered_bytes": found.delivered,
        "names": {name: _group(each) for name, each in sorted(found.names.items())},
        "workers": {name: _group(each) for name, each in sorted(found.workers.items())},
        "causes": dict(found.causes.most_common()),
    }


def _group(each: stats.Group) -> dict[str, Any]:
    return {
        "good": each.good, "failed": each.failed, "cancelled": each.cancelled,
        "success": None if each.success is None else each.success / 100,
        "median_seconds": each.median, "last_good": each.last_good, "last_failed": each.last_failed,
    }  # fmt: skip
