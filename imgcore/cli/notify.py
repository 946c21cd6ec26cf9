# SPDX-License-Identifier: GPL-2.0-or-later
"""`img notify`: delivers what is to be told of jobs that have ended."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import click

from imgcore import config
from imgcore.buildlog import printable
from imgcore.cli import completion, options
from imgcore.errors import InputError
from imgcore.jobs import choosing
from imgcore.notify import ended
from imgcore.notify.outbox import Letter, Outbox
from imgcore.spool import Spool

__all__ = ["command"]


def _duration(value: str) -> float:
    try:
        return config.parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("notify")
@click.argument("given", metavar="[JOB]...", nargs=-1, type=options.text, shell_complete=completion.jobs)
@click.option("--again", is_flag=True, help="Try everything that waits or has failed once more.")
@click.option("--wait", type=_duration, default="0", metavar="TIME", help="Go on trying for so long: 90s, 30m, 4h.")
@click.option("--watch", is_flag=True, help="Stay, and deliver what comes until SIGTERM or Ctrl-C.")
@options.spool
@options.configuration
@options.as_json
def command(
    given: tuple[str, ...],
    again: bool,
    wait: float,
    watch: bool,
    spool: Path | None,
    config_file: Path | None,
    json_wanted: bool,
) -> int:
    """Tell those who want to know of jobs that have ended.

    By mail, webhooks and hooks, as the configuration says, of what has ended since this was run first. What cannot
    be delivered is tried again, ten times within a day, then kept with its reason. Of each JOB that is named
    everybody is told, once more.

    \b
    Exit codes: 0 nothing waits, 1 something waits or has failed, 2 bad input.
    """
    from imgcore.notify.channels import channels
    from imgcore.notify.deliver import Deliverer, delivering

    settings = options.load(config_file, spool=spool)
    # A service may be there before the first job is.
    opened = Spool(settings.spool, create=watch)
    found = channels(settings.notify)
    ended.begin(opened.root)
    for each in given:
        _tell_again(opened, choosing.one(opened, each))
    if again:
        Outbox(ended.place(opened.root)).try_again()
    if watch:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with delivering(opened.root, wait=watch) as mine:
            if mine:
                said = (lambda line: None) if json_wanted else _say
                Deliverer(opened, found, said).run(None if watch else wait)
    except KeyboardInterrupt:
        sys.exit(0 if watch else 130)
    return _left(opened, json_wanted=json_wanted)


def _tell_again(spool: Spool, image_id: str) -> None:
    from imgcore.notify.notice import transition

    seq = transition(spool, image_id)
    if seq is None:
        raise InputError(f"job {image_id} has not ended", "name one that has")
    ended.note(spool.root, image_id, seq)


def _say(line: str) -> None:
    click.echo(printable(line))
    sys.stdout.flush()


def _left(spool: Spool, *, json_wanted: bool) -> int:
    """Say what waits and what has failed; the exit code."""
    outbox = Outbox(ended.place(spool.root))
    waiting, failed = outbox.waiting(), outbox.failed()
    if json_wanted:
        told = {
            "waiting": [_fields(each) for each in waiting],
            "failed": [{**(_fields(letter) if letter else {}), "path": str(path)} for path, letter in failed],
        }
        click.echo(json.dumps(told, indent=1))
    else:
        for each in waiting:
            _say(f"waits: {_about(each)}")
        for path, letter in failed:
            _say(f"failed: {_about(letter) if letter else path}")
    return 1 if waiting or failed else 0


def _fields(letter: Letter) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in ("image_id", "channel", "whom", "attempts", "reason")}


def _about(letter: Letter) -> str:
    whom = f" {letter.whom}" if letter.whom else ""
    return f"{letter.image_id} by {letter.channel}{whom}" + (f": {letter.reason}" if letter.reason else "")
