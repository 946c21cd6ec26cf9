# SPDX-License-Identifier: GPL-2.0-or-later
"""The options by which commands are told which jobs are meant, and naming one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from imgcore.amounts import UNITS
from imgcore.cli import completion, options
from imgcore.cli.terminal import note
from imgcore.jobs.selection import STATES, Selection
from imgcore.spool import DamagedRecord

__all__ = ["job", "jobs", "moment", "selected", "selection", "tell_damage"]

_F = TypeVar("_F", bound=Callable[..., Any])
_AGE = re.compile(rf"(\d{{1,6}})\s*([{''.join(UNITS)}])", re.IGNORECASE)
_NAMED = "an id, the beginning of one, or NAME@latest, NAME@good, NAME@failed"


def job(function: _F) -> _F:
    """The argument that names one job."""
    return click.argument("given", metavar="JOB", type=options.text, shell_complete=completion.jobs)(function)


def jobs(function: _F) -> _F:
    """The argument that names some."""
    return click.argument(
        "given", metavar="JOB...", nargs=-1, required=True, type=options.text, shell_complete=completion.jobs
    )(function)


def selected(function: _F) -> _F:
    """`--state` and so on; `selection` reads them."""
    for option in (
        click.option("--since", type=moment, metavar="TIME", help="Requested since: 90m, 12h, 7d, 2w, 2026-01-31."),
        click.option("--text", type=options.text, help="With this in id, request, error or warnings."),
        click.option("--pinned", is_flag=True, help="Only those that are pinned."),
        click.option("--tag", multiple=True, shell_complete=completion.tags, help="With this tag (each of them)."),
        click.option("--user", multiple=True, help="Asked for by this user."),
        click.option("--type", "image_type", multiple=True, help="Of this type of image."),
        click.option("--arch", multiple=True, help="For this architecture."),
        click.option(
            "--name", multiple=True, shell_complete=completion.image_names, help="Of this name, or pattern."
        ),
        click.option(
            "--state", multiple=True, type=click.Choice(list(STATES)), help="In this state; can be repeated."
        ),
    ):
        function = option(function)
    return function


def selection(given: dict[str, Any]) -> Selection:
    """What the options of `selected` mean."""
    return Selection(
        states=tuple(STATES[each] for each in given["state"]),
        names=given["name"],
        archs=given["arch"],
        types=given["image_type"],
        users=given["user"],
        tags=given["tag"],
        text=given["text"] or "",
        since=given["since"],
        pinned=given["pinned"],
    )


def moment(value: str) -> datetime:
    """The type of an option that takes a time: how long ago, or when (UTC)."""
    try:
        if ago := _AGE.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * UNITS[ago[2].lower()])
        found = datetime.fromisoformat(value.strip())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter("it is no time such as 12h, 7d or 2026-01-31.") from None


def tell_damage(error: DamagedRecord) -> None:
    """Say that a job is passed over."""
    note(f"note: {error}")
