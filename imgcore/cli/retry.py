"""`img retry`: a job that has ended, once more."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from imgcore.cli import completion, farm, options, submit
from imgcore.cli.editing import edited
from imgcore.errors import InputError
from imgcore.job import FINAL, Job
from imgcore.jobs import choosing
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("retry")
@click.argument("ids", metavar="JOB...", nargs=-1, required=True, type=options.text, shell_complete=completion.jobs)
@click.option("--edit", is_flag=True, help="Change the kickstart first, in $VISUAL or $EDITOR (one job).")
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

    Each becomes a new job, whose record names the one that it is a retry of; what was asked for stays the same,
    with --edit but for the kickstart. What was edited is checked as by `img submit`; where it is refused, nothing is
    recorded, and the text stays where it is said. The new ids are printed. Exit codes as of `img submit`.
    """
    from imgcore.jobs.admission import retry

    config = options.load(config_file, spool=spool)
    there = Spool(config.spool, create=False)
    level = None if priority is None else "high" if priority == "high" else ""
    # All that can be refused is refused before the spool hears of any job.
    wanted = [_ended(there.read(choosing.one(there, each))) for each in ids]
    if edit and len(wanted) > 1:
        raise InputError("--edit is for one job, and there are several", "edit them one by one")
    broker = farm.find(address, password_file)
    sent = submit.Sent(there, wait=wait, quiet=quiet, json_wanted=json_wanted)
    with ExitStack() as opened:
        kickstart = None
        if edit:
            kickstart = opened.enter_context(edited(there.kickstart(wanted[0].image_id), ".ks"))
        made = [submit.made_of(config, there, each, kickstart) for each in wanted]
        connected = opened.enter_context(farm.Farm(broker))
        opened.enter_context(sent)
        for before, workitem in zip(wanted, made, strict=True):
            job = retry(there, before.image_id, who=options.user(), priority=level, kickstart=kickstart)
            # All else is as it was.
            workitem.fields.image.image_id, workitem.fields.image.priority = job.image_id, job.priority
            sent.by(connected, workitem)
    return sent.followed()


def _ended(job: Job) -> Job:
    if job.status not in FINAL:
        raise InputError(f"job {job.image_id} is {job.status}, it has not ended", "cancel it first, or wait")
    return job
