# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds in processes of their own, which outlive who started them: started, waited for, begun again when they die.

The record is the only memory: whoever sees to a job reads from it whether to start, to wait, to mend or only to
tell. So it does not matter whether the process that waits is the one that started the build.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from imgcore import config, process
from imgcore.config import Config
from imgcore.delivery import discard
from imgcore.errors import InputError, SpoolError
from imgcore.job import FINAL, Job, Status
from imgcore.request import Request
from imgcore.spool import Spool

__all__ = ["CLAIMED", "Builds", "Busy"]

#: What the process says when the job is its own.
CLAIMED = b"claimed\n"

_PACKAGES = Path(__file__).resolve().parents[2]
#: Between two looks at the record of a running build, for who wants to hear of it (seconds).
_WATCH_SECONDS = 2.0
#: Between two looks at a build whose process cannot be waited for: it is about to begin, or in another container.
_LOOK_SECONDS = 0.1


class Busy(InputError):
    """Somebody else sees to the job, who will tell how it ends."""


class Builds:
    """The builds of one spool by one worker, whose name the records get. May be used from several threads."""

    def __init__(self, settings: Config, spool: Spool, worker: str = "") -> None:
        self._config = settings
        self._spool = spool
        self._worker = worker

    def run(self, image_id: str, wanted: Request, watch: Callable[[Job], None]) -> Job:
        """See to the job until it has ended, from wherever it is now; its final record.

        `wanted` is what is built. `watch` is told the record when the build has begun, and every two
        seconds. Raises Busy where another machine builds the job, SpoolError.
        """
        failures = 0
        while True:
            job = self._when_free(image_id, watch)
            if job.status in FINAL:
                # One that was ended by force could not do so itself.
                discard(self._config.base_dir, job.prefix, job.image_id)
                return job
            if job.status is Status.IN_QUEUE:
                complaint = self._start(job, wanted, watch)
                if complaint is not None:
                    failures += 1
                    self._give_up(image_id, complaint, failures)
            else:
                self._recover(job)

    def _when_free(self, image_id: str, watch: Callable[[Job], None]) -> Job:
        """The record once no process has the job claimed."""
        while self._spool.alive(image_id):
            job = self._spool.read(image_id)
            if job.status is Status.BUILDING:
                watch(job)
            if process.wait(job.worker, _WATCH_SECONDS) and self._spool.alive(image_id):
                time.sleep(_LOOK_SECONDS)
        return self._spool.read(image_id)

    def _start(self, job: Job, wanted: Request, watch: Callable[[Job], None]) -> str | None:
        """Have the job built, to the end of the process; what that process said where it did not take the job."""
        errors = self._spool.directory(job.image_id) / "builder.err"
        order = {"config": config.to_json(self._config), "request": asdict(wanted), "worker": self._worker}
        paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            with errors.open("ab") as stderr:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "imgcore.builds.builder", job.image_id],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd="/",
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    # What ends this process is not for the build.
                    start_new_session=True,
                )
        except OSError as error:
            raise SpoolError(f"no build can be started: {error.strerror}", "see what the machine lacks") from error
        with child:
            if child.stdin is None or child.stdout is None:
                raise AssertionError("they are pipes")
            try:
                child.stdin.write(json.dumps(order).encode())
                child.stdin.close()
            except BrokenPipeError:
                pass  # it has ended; why, it has said
            claimed = child.stdout.readline() == CLAIMED
            if claimed:
                self._when_free(job.image_id, watch)
        with contextlib.suppress(OSError):
            if not errors.stat().st_size:
                errors.unlink()
        return None if claimed else _last_line(errors)

    def _give_up(self, image_id: str, complaint: str, failures: int) -> None:
        """End a job that no process could take; more than as often as a build may be lost is too often."""
        with self._spool.edit(image_id) as edit:
            if edit.job.status is Status.IN_QUEUE and failures > self._config.restarts:
                text = "the process of the build ended before it began" + (f": {complaint}" if complaint else "")
                remedy = "builder.err in the job's directory has what it said"
                edit.move(Status.ERROR, text, error=text, error_cause="internal", error_remedy=remedy)

    def _recover(self, job: Job) -> None:
        """Queue a job again whose process died, or end it where that happened too often."""
        past = self._spool.history(job.image_id)
        lost = [each for each in past if each.get("from") == str(Status.BUILDING) != each.get("to")]
        again = len(lost) < self._config.restarts
        if self._spool.recover(job.image_id, requeue=again, by=self._worker):
            discard(self._config.base_dir, job.prefix, job.image_id)
            return
        now = self._spool.read(job.image_id)
        if now.status is Status.BUILDING and not self._spool.alive(job.image_id):
            where = now.worker.get("host", "another machine")
            raise Busy(f"job {job.image_id} is BUILDING on {where}", "wait for its end")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "")
