# SPDX-License-Identifier: GPL-2.0-or-later
"""`img submit`: jobs for the workers of a farm."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import click

from imgcore.cli import farm, image, options
from imgcore.cli.terminal import note
from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.job import Job, Status, to_json
from imgcore.spool import Spool
from RuoteAMQP import Workitem

__all__ = ["Sent", "command", "made_of"]


@click.command("submit")
@click.argument("kickstarts", metavar="[KS]...", nargs=-1, type=options.path)
@image.request
@farm.priority
@click.option("--again", multiple=True, metavar="ID", help="Send a recorded job that still waits once more.")
@click.option("--wait", is_flag=True, help="Follow the jobs to their end.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@farm.broker
@options.spool
@options.configuration
@options.as_json
def command(
    kickstarts: tuple[Path, ...],
    again: tuple[str, ...],
    address: str | None,
    password_file: Path | None,
    wait: bool,
    quiet: bool,
    json_wanted: bool,
    **given: Any,
) -> int:
    """Have the workers of a farm make images.

    Each kickstart KS is checked here and recorded as a job in the spool, then put into the broker's queue
    imager.build. The jobs' ids are printed. Images stay where the worker puts them: the record says where.

    \b
    Exit codes: 0 submitted (with --wait: the images are there), 1 no broker, or a build failed, 2 bad input,
    130 cancelled; Ctrl-C with --wait leaves the jobs as they are.
    """
    if not kickstarts and not again:
        raise InputError("there is nothing to submit", "give a kickstart, or --again ID")
    if given["name"] and len(kickstarts) > 1:
        raise InputError("--name is for one image, and there are several kickstarts", "submit them one by one")
    config = options.load(given["config_file"], spool=given["spool"])
    spool = Spool(config.spool)
    # All that can be refused is refused before the spool hears of any job.
    asked = [image.asked_for(config, each, given) for each in kickstarts]
    for each in asked:
        each.fields.image.priority = "high" if given["priority"] == "high" else ""
    made = [image.augmented(config, each) for each in asked]
    waiting = [made_of(config, spool, _waiting(spool.read(each))) for each in again]
    sent = Sent(spool, wait=wait, quiet=quiet, json_wanted=json_wanted)
    with farm.Farm(farm.find(address, password_file)) as connected, sent:
        for workitem, wish in zip([*made, *waiting], [*asked, *(None for _ in waiting)], strict=True):
            if wish is not None:
                image.recorded(config, wish, workitem)
            sent.by(connected, workitem)
        if wait:
            _warn(connected)
    return sent.followed()


def made_of(config: Config, spool: Spool, job: Job, kickstart: bytes | None = None) -> Workitem:
    """The workitem that has a recorded job built, with another kickstart if one is given.

    Raises InputError, SpoolError.
    """
    from imgcore.request import image_fields

    fields = image_fields(job, spool.kickstart(job.image_id) if kickstart is None else kickstart)
    return image.augmented(config, Workitem({"fields": {"image": fields}}))


class Sent:
    """Jobs that were sent: their ids are printed, or with JSON their records, also where a later one cannot be sent.

    A `with` around the sending; `followed` comes after it.
    """

    def __init__(self, spool: Spool, *, wait: bool, quiet: bool, json_wanted: bool) -> None:
        self._spool = spool
        self._wait, self._quiet, self._json = wait, quiet, json_wanted
        self._ids: list[str] = []

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._json:
            self._records()
        elif error is not None and self._wait:
            for each in self._ids:
                click.echo(each)

    def by(self, connected: farm.Farm, made: Workitem) -> None:
        """Send one. Raises ImagerError."""
        connected.send(made)
        self._ids.append(str(made.fields.image.image_id))
        if not self._json and not self._wait:
            click.echo(self._ids[-1])

    def followed(self) -> int:
        """Follow the jobs if that is wanted, print their records if that is; the exit code."""
        code = 0
        if self._wait:
            from imgcore.cli.follow import follow

            code = follow(self._spool, self._ids, quiet=self._quiet or self._json, told=not self._json)
        if self._json:
            self._records()
        return code

    def _records(self) -> None:
        for each in self._ids:
            click.echo(to_json(self._spool.read(each)).decode(), nl=False)


def _waiting(job: Job) -> Job:
    if job.status is not Status.IN_QUEUE:
        raise InputError(f"job {job.image_id} is {job.status}, not IN QUEUE", "`img retry` makes a new job of it")
    return job


def _warn(connected: farm.Farm) -> None:
    """Say that nobody builds, or nobody keeps records: then there is nothing to wait for."""
    needed = {
        farm.BUILD_QUEUE: "no worker takes jobs now (start one: `img worker`)",
        farm.STATUS_QUEUE: "nobody writes what workers on other machines tell into a spool (start one: `img keeper`)",
    }
    if all((connected.queue(each) or (0, 0))[1] for each in needed):
        return
    # Who has no slot free takes nothing from a queue, and answers nevertheless.
    there = {each.get("queue") for each in connected.ask()}
    for queue, complaint in needed.items():
        if queue not in there:
            note(f"note: {complaint}")
