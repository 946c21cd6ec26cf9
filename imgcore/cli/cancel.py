# SPDX-License-Identifier: GPL-2.0-or-later
"""`img cancel`: a job that waits is never built, one that is built ends, wherever that is."""

from __future__ import annotations

import json
from pathlib import Path

import click

from imgcore import names
from imgcore.cli import completion, farm, options
from imgcore.cli.terminal import note
from imgcore.errors import ImagerError, InputError
from imgcore.jobs import choosing
from imgcore.spool import Spool

__all__ = ["command"]


@click.command("cancel")
@click.argument("ids", metavar="JOB...", nargs=-1, required=True, type=options.text, shell_complete=completion.jobs)
@click.option("--reason", default="", help="What the record shall say of it.")
@farm.broker
@options.spool
@options.configuration
@options.as_json
def command(
    ids: tuple[str, ...],
    reason: str,
    address: str | None,
    password_file: Path | None,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> int:
    """Cancel jobs, from whatever machine.

    A job of this machine's spool is cancelled there; where a broker is configured, all workers hear of it, and
    those that begin later do too. A build under way ends within some seconds and leaves nothing. As JSON: what is
    cancelled in this machine's spool, of what the workers were told, and what has ended otherwise.
    """
    config = options.load(config_file, spool=spool)
    wanted = list(dict.fromkeys(_meant(config.spool, each) for each in ids))
    who = options.who()
    unknown, refused = _here(config.spool, wanted, who, reason)
    open_jobs = [each for each in wanted if each not in refused]
    told, broker_error = _everywhere(open_jobs, who, reason, address, password_file)
    if json_wanted:
        here = [each for each in open_jobs if each not in unknown]
        why = {image_id: error.message for image_id, error in refused.items()}
        click.echo(json.dumps({"cancelled": here, "told": told, "refused": why}, indent=2))
    if broker_error and (address or unknown):
        raise broker_error if not unknown else ImagerError(
            f"{unknown[0]} is not in {config.spool}, and no worker could be told: {broker_error.message}",
            broker_error.remedy,
        )  # fmt: skip
    if broker_error and not isinstance(broker_error, farm.NoBroker):
        note(f"note: no other machine was told: {broker_error}")
    for error in refused.values():
        note(f"img: {error}")
    return 1 if refused else 0


def _meant(root: Path, given: str) -> str:
    """The id of a job of this machine's spool that `given` names, or else `given`, as another machine may have it."""
    there = choosing.find(Spool(root, create=False), given) if (root / "jobs").is_dir() else None
    if there and there != given:
        note(f"note: {given} is {there}")
    return there or names.image_id(given)


def _here(root: Path, wanted: list[str], who: str, reason: str) -> tuple[list[str], dict[str, InputError]]:
    """Cancel what this machine's spool has; what it does not know, and what it knows to have ended."""
    from imgcore.builds.cancelling import cancel

    there = Spool(root, create=False) if (root / "jobs").is_dir() else None
    unknown: list[str] = []
    refused: dict[str, InputError] = {}
    for each in wanted:
        if there is None or not there.directory(each).is_dir():
            unknown.append(each)
            continue
        try:
            cancel(there, each, who, reason)
        except InputError as error:
            refused[each] = error
    return unknown, refused


def _everywhere(
    wanted: list[str], who: str, reason: str, address: str | None, password_file: Path | None
) -> tuple[list[str], ImagerError | None]:
    """Tell all workers, now and later; of which jobs they were told, and why not of the others."""
    told: list[str] = []
    try:
        with farm.Farm(farm.find(address, password_file)) as connected:
            for each in wanted:
                connected.cancel(each, who, reason)
                told.append(each)
    except ImagerError as error:
        return told, error
    return told, None
