# SPDX-License-Identifier: GPL-2.0-or-later
"""`img queue`: what waits for a worker, and what runs where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from imgcore.buildlog import printable
from imgcore.cli import farm, options
from imgcore.cli.terminal import note
from imgcore.errors import SpoolError
from imgcore.job import Job, Status
from imgcore.spool import Spool

__all__ = ["command", "in_order", "lines", "told", "within"]

#: `--within`.
within = click.option(
    "--within", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds to wait for answers."
)


@click.command("queue")
@within
@farm.broker
@options.spool
@options.configuration
@options.as_json
def command(
    within: float,
    address: str | None,
    password_file: Path | None,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> None:
    """Show what waits and what the workers do.

    The jobs are those of the spool, in the order in which they are taken; the workers are those that answer in
    time, wherever they are.
    """
    config = options.load(config_file, spool=spool)
    with farm.Farm(farm.find(address, password_file)) as connected:
        answers = connected.ask(within)
        jobs, statuses = (connected.queue(each) or (0, 0) for each in (farm.BUILD_QUEUE, farm.STATUS_QUEUE))
    state: dict[str, Any] = {
        "broker": connected.broker.address,
        "jobs": {"waiting": jobs[0], "consumers": jobs[1]},
        "statuses": {"waiting": statuses[0], "consumers": statuses[1]},
        "workers": in_order(answers),
        "spool": [
            {"place": place, "image_id": job.image_id, "name": job.name, "priority": job.priority,
             "requested_at": job.requested_at}
            for place, job in enumerate(_waiting(config.spool), 1)
        ],
    }  # fmt: skip
    if json_wanted:
        click.echo(json.dumps(state, indent=2))
        return
    _show(state)
    if not any(each.get("queue") == farm.STATUS_QUEUE for each in answers) and not statuses[1]:
        note("note: nobody writes into a spool what workers on other machines tell (start one: `img keeper`)")


def _waiting(root: Path) -> list[Job]:
    """The jobs of this spool that wait, in the order in which they are taken."""
    try:
        waiting = list(Spool(root, create=False).jobs(Status.IN_QUEUE))
    except SpoolError:
        return []  # there is none on this machine
    return sorted(waiting, key=lambda job: job.priority != "high")


def _show(state: dict[str, Any]) -> None:
    jobs, statuses = state["jobs"], state["statuses"]
    click.echo(f"broker {state['broker']}: jobs waiting {jobs['waiting']}, workers with room {jobs['consumers']}")
    if statuses["waiting"]:
        click.echo(f"status messages waiting {statuses['waiting']}")
    for job in state["spool"]:
        click.echo(f"{job['place']:>4}  {job['image_id']}{'  high' if job['priority'] else ''}")
    for line in lines(state["workers"]):
        click.echo(line)


def in_order(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers of workers, by machine and name."""
    return sorted(answers, key=lambda each: (str(each.get("host")), str(each.get("worker"))))


def lines(answers: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each worker, and below it one for each job that it holds."""
    for worker in answers:
        yield told(worker)
        for held in _objects(worker.get("held")):
            yield f"      {_build(held, worker.get('builds'))}"


def told(worker: dict[str, Any]) -> str:
    """A worker's answer to `status`, as one line."""
    held = len(_objects(worker.get("held")))
    why = f" ({worker['why']})" if worker.get("why") not in (None, "", worker.get("state")) else ""
    unsent = f", {worker['outbox']} messages unsent" if worker.get("outbox") else ""
    line = (
        f"{worker.get('host')}/{worker.get('worker')}: {worker.get('state')}{why}, "
        f"{held} of {worker.get('slots')} slots in use{unsent}"
    )
    return " ".join(printable(line).split())


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _build(held: dict[str, Any], builds: object) -> str:
    """What a worker holds, as text."""
    what = str(held.get("image_id") or held.get("step"))
    now = builds.get(what) if isinstance(builds, dict) else None
    phase = now.get("phase") or "" if isinstance(now, dict) else ""
    return " ".join(printable(f"{what} {phase} {_since(held.get('since'))}").split())


def _since(value: object) -> str:
    """For how long, where that is told as seconds since 1970 or as a time."""
    try:
        began = float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()
        seconds = max(0, int(datetime.now(UTC).timestamp() - began))
    except (ValueError, OverflowError):
        return ""
    return f"{seconds // 60}:{seconds % 60:02} min"
