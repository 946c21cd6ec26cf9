# SPDX-License-Identifier: GPL-2.0-or-later
"""`img retry`: a job that has ended, once more."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from imgcore import names
from imgcore.cli import completion, farm, image, options, submit
from imgcore.cli.editing import edited
from imgcore.errors import InputError
from imgcore.job import FINAL, Job
from imgcore.jobs import choosing
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("retry")
@click.argument("ids", metavar="JOB...", nargs=-1, required=True, type=options.text, shell_complete=completion.jobs)
@click.option("--edit", is_flag=True, help="Change the kickstart first, in $VISUAL or $EDITOR (one job).")
@click.option("--timeout", type=options.text, metavar="TIME", help="Another time limit: 90s, 30m, 4h.")
@click.option(
    "--tokenmap", default="", metavar="K:V,…", help="Other values for these tokens; the rest stay as they are."
)
@farm.priority
@click.option("--wait", is_flag=True, help="Follow the jobs to their end.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@farm.broker
@options.spool
@options.configuration
@options.as_json
def command(
    ids: tuple[str, ...],
    edit: bool,
    timeout: str | None,
    tokenmap: str,
    priority: str | None,
    wait: bool,
    quiet: bool,
    address: str | None,
    password_file: Path | None,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> int:
    """Submit ended jobs again.

    Each becomes a new job, whose record names the one that it is a retry of; what was asked for stays the same but
    for what the options say. What was edited is checked as by `img submit`; where it is refused, nothing is
    recorded, and the text stays where it is said. The new ids are printed. Exit codes as of `img submit`.
    """
    from imgcore.jobs.admission import retry

    config = options.load(config_file, spool=spool)
    there = Spool(config.spool, create=False)
    changes = _Changes(image.seconds(timeout), names.tokenmap(tokenmap), priority)
    # All that can be refused is refused before the spool hears of any job.
    wanted = [_ended(there.read(choosing.one(there, each))) for each in ids]
    if edit and len(wanted) > 1:
        raise InputError("--edit is for one job, and there are several", "edit them one by one")
    try:
        broker = farm.find(address, password_file)
    except farm.NoBroker as error:
        kickstart_file = there.directory(wanted[0].image_id) / "kickstart.ks"
        raise farm.NoBroker(
            error.message, f"{error.remedy}; to build here, without workers: `img build {kickstart_file} …`"
        ) from error
    sent = submit.Sent(there, wait=wait, quiet=quiet, json_wanted=json_wanted)
    with ExitStack() as opened:
        kickstart = None
        if edit:
            kickstart = opened.enter_context(edited(there.kickstart(wanted[0].image_id), ".ks"))
        made = [
            submit.made_of(config, there, dataclasses.replace(each, **changes.of(each)), kickstart) for each in wanted
        ]
        connected = opened.enter_context(farm.Farm(broker))
        opened.enter_context(sent)
        for before, workitem in zip(wanted, made, strict=True):
            job = retry(there, before.image_id, who=options.user(), kickstart=kickstart, changes=changes.of(before))
            workitem.fields.image.image_id = job.image_id
            sent.by(connected, workitem)
    return sent.followed()


@dataclass(frozen=True)
class _Changes:
    """What is asked for instead; what is empty, or None, stays as it was."""

    timeout: float
    tokens: Mapping[str, str]
    priority: str | None

    def of(self, job: Job) -> dict[str, Any]:
        """The fields of the job's request that become others."""
        found: dict[str, Any] = {}
        if self.timeout:
            found["timeout"] = self.timeout
        if self.tokens:
            found["tokenmap"] = {**job.tokenmap, **self.tokens}
        if self.priority is not None:
            found["priority"] = "high" if self.priority == "high" else ""
        return found


def _ended(job: Job) -> Job:
    if job.status not in FINAL:
        raise InputError(f"job {job.image_id} is {job.status}, it has not ended", "cancel it first, or wait")
    return job
