# SPDX-License-Identifier: GPL-2.0-or-later
"""`img top`: what is built now, what waits, what ended last; anew every second."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgcore import process
from imgcore.amounts import duration, size
from imgcore.cli import options, printing, showing, table
from imgcore.job import FINAL, Job, Status
from imgcore.jobs.outcome import took
from imgcore.spool import Spool

if TYPE_CHECKING:
    import psutil

__all__ = ["command"]

_RUNNING = ("BUILDING", "WORKER", "TOOK", "CPU", "MEMORY", "PHASE", "DONE", "DETAIL")
_ENDED = ("ENDED", "STATE", "AGO", "TOOK", "SIZE", "ERROR")
_SECONDS = 1.0
_MOST_ENDED = 100


@click.command("top")
@options.spool
@options.configuration
@options.as_json
def command(spool: Path | None, config_file: Path | None, json_wanted: bool) -> None:
    """Watch the jobs of the spool on a terminal, until Ctrl-C.

    Processor time (of one core) and memory are those of builds on this machine. With --json it is all told once.
    """
    there = Spool(options.load(config_file, spool=spool).spool, create=False)
    use = _Use()
    if json_wanted:
        printing.as_json(_told(there, use), indent=2)
        return
    from imgcore.cli.live import live

    live(lambda width, height: _lines(there, use, width, height), _SECONDS)


def _lines(spool: Spool, use: _Use, width: int, height: int) -> list[str]:
    """As much as there is room for: first what is built, then what waits, then what has ended."""
    running, waiting = list(spool.jobs(Status.BUILDING)), spool.ids(Status.IN_QUEUE)
    found = [f"{len(running)} building, {len(waiting)} queued", ""]
    found += table.lines(_RUNNING, (_row(job, use) for job in running), {"TOOK", "CPU", "MEMORY", "DONE"}, width)
    if running:
        found.append("")
    if waiting:
        room = max(1, (height - len(found)) // 2)
        found += table.lines(("QUEUED",), ((each,) for each in waiting[:room]), width=width)
        found.append("")
    ended = (
        (job.image_id, showing.word(job), showing.ago(job.finished_at), showing.COLUMNS["took"](job),
         showing.COLUMNS["size"](job), job.error)
        for job in _ended(spool, height - len(found) - 1)
    )  # fmt: skip
    return [*found, *table.lines(_ENDED, ended, {"AGO", "TOOK", "SIZE"}, width)][:height]


def _row(job: Job, use: _Use) -> tuple[str, ...]:
    cores, memory = use.of(job) or (None, None)
    return (
        job.image_id,
        showing.COLUMNS["worker"](job),
        duration(took(job)),
        "" if cores is None else f"{cores:.0%}",
        "" if memory is None else size(memory),
        job.phase or "start",
        f"{job.progress:.0%}",
        job.progress_detail,
    )


def _ended(spool: Spool, most: int) -> Iterator[Job]:
    """Those that ended last, of those that were requested last."""
    newest = itertools.islice(spool.newest(*FINAL), _MOST_ENDED)
    return itertools.islice(sorted(newest, key=lambda job: job.finished_at, reverse=True), max(0, most))


def _told(spool: Spool, use: _Use) -> dict[str, Any]:
    return {
        "building": [
            {"image_id": job.image_id, "worker": dict(job.worker), "seconds": took(job),
             "memory_bytes": (use.of(job) or (0, 0))[1], "phase": job.phase, "progress": job.progress,
             "progress_detail": job.progress_detail}
            for job in spool.jobs(Status.BUILDING)
        ],
        "queued": spool.ids(Status.IN_QUEUE),
        "ended": [
            {"image_id": job.image_id, "status": str(job.status), "finished_at": job.finished_at, "error": job.error}
            for job in _ended(spool, 10)
        ],
    }  # fmt: skip


class _Use:
    """What the processes of builds use: processor time since the last look, and memory now."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def of(self, job: Job) -> tuple[float, int] | None:
        """Cores and bytes of a build on this machine; None where its process is not here."""
        import psutil

        if not process.is_alive(job.worker):
            return None
        cores, memory = 0.0, 0
        try:
            top = psutil.Process(job.worker["pid"])
            for each in (top, *top.children(recursive=True)):
                known = self._known.setdefault(each.pid, each)
                if known != each:  # the number is another process's now
                    known = self._known[each.pid] = each
                try:
                    cores += known.cpu_percent() / 100
                    memory += known.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return None
        return cores, memory
