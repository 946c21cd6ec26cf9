# SPDX-License-Identifier: GPL-2.0-or-later
"""A job that this process builds: it holds the job's long lock, which dies with the process however that ends.

Others can see that it is held (`Spool.alive`) and change the record meanwhile (cancel, tag); the claim reads it
anew when they did. A claim that is left without `finish` ends the job as an error, never BUILDING for ever.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from imgcore import atomic, process
from imgcore.errors import BuildError, Cancelled, ImagerError, InputError, SpoolError
from imgcore.job import Job, Status
from imgcore.lock import Lock, is_held
from imgcore.spool.record import WORKER_LOCK_NAME, Record

__all__ = ["Claim", "lost", "recover"]

#: How long a claim tries for a lock that somebody may hold for the instant of looking at it.
_LOOK_SECONDS = 2.0


class Claim:
    """A job taken by this process. A `with` that always ends it; may be used from several threads."""

    def __init__(self, record: Record, worker: str = "") -> None:
        """Take the job of `record`, whose short lock is held. Raises InputError where it is not IN QUEUE."""
        self._record = record
        self._guard = threading.Lock()
        self._long = Lock(record.directory / WORKER_LOCK_NAME)
        try:
            status = record.current().status
            if status is not Status.IN_QUEUE:
                raise InputError(f"job {self.image_id} is {status}, not IN QUEUE", "only waiting jobs can be started")
            if not self._long.acquire_within(_LOOK_SECONDS):
                raise InputError(f"job {self.image_id} is held by a worker", "wait for its end")
            self.job: Job = record.move(Status.BUILDING, "claimed", worker, {"worker": process.this(worker)})
        except BaseException:
            self._long.close()
            raise

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._closed:
                self._abandon(error)
        finally:
            self.close()

    @property
    def _closed(self) -> bool:
        return self._long.closed

    @property
    def image_id(self) -> str:
        """The job's id."""
        return self._record.directory.name

    def refresh(self) -> Job:
        """The job as the record has it now; `status` is CANCELLED if somebody asked for that."""
        with self._guard, self._record.lock.held():
            self.job = self._record.current()
        return self.job

    def update(self, **changes: Any) -> Job:
        """Change fields but not the state: one replacement of the record and nothing else.

        A power failure can bring back a version of some seconds before; a crash of the process cannot. Raises
        InputError, SpoolError.
        """
        with self._guard, self._record.lock.held():
            self.job = self._record.update(changes, settle=False)
        return self.job

    def finish(self, status: Status, reason: str = "", who: str = "", **changes: Any) -> Job:
        """End the job and let it go. Raises Cancelled where somebody else has cancelled it meanwhile.

        The fields in `changes` are recorded in either case, but the reason for the end is then the other's.
        """
        with self._guard, self._record.lock.held():
            current = self._record.current()
            now = current.status
            if now is Status.CANCELLED:
                if current.error:
                    changes = {name: value for name, value in changes.items() if not name.startswith("error")}
                self.job = self._record.update(changes) if changes else self._record.current()
            else:
                self.job = self._record.move(Status(status), reason, who, changes)
        self.close()
        if now is Status.CANCELLED and status is not Status.CANCELLED:
            raise Cancelled(f"job {self.image_id} was cancelled")
        return self.job

    def close(self) -> None:
        """Let the job go as it is. Can be repeated."""
        try:
            self._record.close()
        finally:
            self._long.close()

    def _abandon(self, error: BaseException | None) -> None:
        text, cause, remedy = _explain(error)
        cancelled = isinstance(error, Cancelled | KeyboardInterrupt)
        try:
            if cancelled:
                self.finish(Status.CANCELLED, text, error=text)
            else:
                self.finish(Status.ERROR, text, error=text, error_cause=cause, error_remedy=remedy)
        except (Cancelled, SpoolError, FileNotFoundError):
            # The error under way says more; the lock goes with the claim, so recover() finds the job.
            if error is None:
                raise


def _explain(error: BaseException | None) -> tuple[str, str, str]:
    if error is None:
        return "the worker let go of the job without a result", "internal", ""
    if isinstance(error, ImagerError):
        return error.message, error.cause if isinstance(error, BuildError) else "", error.remedy
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, "internal", ""


def lost(job: Job, directory: Path, by: str = "") -> bool:
    """Whether the job is BUILDING and its worker has died.

    A worker of another machine, that told what the record says, is not ours to judge, but where its name is `by`:
    a machine may get another name. Another process of this machine may hold the lock of another spool.
    """
    ours = process.is_here(job.worker) or (by != "" and job.worker.get("name") == by)
    if job.status is not Status.BUILDING or not ours or is_held(directory / WORKER_LOCK_NAME):
        return False
    return job.worker.get("pid") == os.getpid() or not process.is_alive(job.worker)


def recover(record: Record, *, requeue: bool, reason: str, by: str = "") -> Job | None:
    """End (or queue again) a BUILDING job whose worker died (`by`: see `lost`); the record's short lock is held.

    None where there is nothing to recover: the job is not BUILDING, or its worker lives, or is another machine's.
    """
    job = record.current()
    if not lost(job, record.directory, by):
        return None
    long = Lock(record.directory / WORKER_LOCK_NAME)
    try:
        if not long.acquire_within(_LOOK_SECONDS):
            return None
        _sweep(record.directory)
        text = reason or _obituary(job)
        if requeue:
            return record.move(Status.IN_QUEUE, text, "", {})
        changes = {
            "error": text,
            "error_cause": "killed",
            "error_remedy": "submit the job again; the log says how far it came",
        }
        return record.move(Status.ERROR, text, "", changes)
    finally:
        long.close()


def _obituary(job: Job) -> str:
    who = job.worker
    where = f" (process {who.get('pid', '?')} on {who.get('host', '?')})" if who else ""
    when = f" in phase {job.phase}" if job.phase else ""
    return f"the worker{where} ended without a result{when}"


def _sweep(directory: Path) -> None:
    """Remove the temporary names that a dead writer left in a job's directory, whose lock is held."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if atomic.is_stray(path.name):
                path.unlink()
