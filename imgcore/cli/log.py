# SPDX-License-Identifier: GPL-2.0-or-later
"""`img log`: what a build said, also while it says it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from imgcore.atomic import failed
from imgcore.buildlog import printable
from imgcore.cli import options, selecting
from imgcore.cli.terminal import note
from imgcore.errors import ImagerError
from imgcore.job import FINAL
from imgcore.jobs import logfile
from imgcore.jobs.choosing import one
from imgcore.spool import Spool

__all__ = ["command"]

_PIECE = 1 << 16
#: Between two looks at a log that grows.
_SECONDS = 0.25
#: A line that is longer is given in pieces.
_LONGEST = 1 << 20


@click.command("log")
@selecting.job
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-n", "--lines", type=click.IntRange(0), help="Only the last so many lines.")
@options.spool
@options.configuration
@options.as_json
def command(
    given: str, follow: bool, lines: int | None, spool: Path | None, config_file: Path | None, json_wanted: bool
) -> int:
    """Print a job's log, each line with its time.

    Colours and other terminal escapes of what was built are left out. As JSON each line is an object with `time` and
    `text`.

    \b
    Exit codes: 0 printed; when followed 0 the image is there, 1 the build failed, or its worker died, 130 it was
    cancelled; 1 if the log is on another machine, which is then told.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    image_id = one(there, given)
    for line in _followed(there, image_id, lines) if follow else _lines(there, image_id, lines):
        click.echo(_json(line) if json_wanted else printable(line))
    job = there.read(image_id)
    if not logfile.path_of(there, job).exists() and (where := logfile.elsewhere(job)):
        raise ImagerError(f"the log of job {image_id} is not on this machine", f"it is {where}")
    if not follow:
        return 0
    if job.status not in FINAL:
        note(f"img: {image_id}: its worker has died (`img fsck --repair` ends the job)")
        return 1
    if job.error:
        note(f"img: {image_id}: {job.status}: {job.error}" + (f" ({job.error_remedy})" if job.error_remedy else ""))
    return {"ERROR": 1, "CANCELLED": 130}.get(job.status, 0)


def _json(line: str) -> str:
    when, _, text = line.partition(" ")
    return json.dumps({"time": when, "text": text}, ensure_ascii=False)


def _lines(spool: Spool, image_id: str, last: int | None) -> Iterator[str]:
    """The lines there are now; none where there is no log (yet)."""
    path = logfile.path_of(spool, spool.read(image_id))
    try:
        with path.open("rb") as file:
            _seek(file, last)
            yield from _read(file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise failed(path, error, "read") from error


def _followed(spool: Spool, image_id: str, last: int | None) -> Iterator[str]:
    """The lines until the job has ended, or lost its worker."""
    # First the record: a log that is not there after the end never will be.
    job = spool.read(image_id)
    while not (path := logfile.path_of(spool, job)).exists():
        if job.status in FINAL or spool.lost(job):
            return
        time.sleep(_SECONDS)
        job = spool.read(image_id)
    with path.open("rb") as file:
        _seek(file, last)
        ended = False
        while not ended:
            # First this, then the rest of the log: what was said before the end is in it.
            job = spool.read(image_id)
            ended = job.status in FINAL or spool.lost(job)
            yield from _read(file, whole=not ended)
            if not ended:
                time.sleep(_SECONDS)


def _read(file: BinaryIO, *, whole: bool = False) -> Iterator[str]:
    """What comes from here to the end; with `whole`, a line that has no end yet is left for later."""
    while line := file.readline(_LONGEST):
        if whole and not line.endswith(b"\n") and len(line) < _LONGEST:
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line.decode("utf-8", "replace").rstrip("\n")


def _seek(file: BinaryIO, last: int | None) -> None:
    """Go to where the last lines begin."""
    if last is None:
        return
    end = at = file.seek(0, os.SEEK_END)
    # One line break more is behind the last line.
    missing = last + 1 if last else 0
    while missing and at > 0:
        size = min(_PIECE, at)
        at -= size
        file.seek(at)
        piece = file.read(size)
        if at + size == end and not piece.endswith(b"\n"):
            missing -= 1
        index = size
        while missing and (index := piece.rfind(b"\n", 0, index)) >= 0:
            missing -= 1
            if not missing:
                file.seek(at + index + 1)
                return
    file.seek(0 if last else end)
