# SPDX-License-Identifier: GPL-2.0-or-later
"""One job's record on disk, and the only ways to change it.

A `Record` is opened with the job's short lock, held while a change is made and no longer. Order of a
transition, so that a crash between any two steps loses nothing: history healed, index entry of the new state
made, an end noted for who wants to be told, record replaced (with the event in it), history appended, index
entry of the old state removed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcore import atomic
from imgcore import job as jobs
from imgcore.errors import InputError, SpoolError
from imgcore.job import Event, Job, Status
from imgcore.lock import Lock, is_held
from imgcore.notify import ended
from imgcore.spool import history
from imgcore.spool.index import Index

__all__ = ["DamagedRecord", "Edit", "Record", "event", "read"]

FILE_NAME = "job.json"
LOCK_NAME = "lock"
WORKER_LOCK_NAME = "worker.lock"
_FIXED = frozenset({"image_id", "revision", "schema", "event", "updated_at", "requested_at"})
_HOST = socket.gethostname()


class DamagedRecord(SpoolError):
    """A record that is there and cannot be understood; `image_id` and `reason` say whose and why."""

    def __init__(self, image_id: str, path: Path, reason: str) -> None:
        super().__init__(
            f"the record of job {image_id} is damaged: {reason}", f"see {path}; `img fsck` can set it aside"
        )
        self.image_id = image_id
        self.path = path
        self.reason = reason


def parse(image_id: str, path: Path, content: bytes) -> Job:
    """The job in `content`, which stands at `path` under this id. Raises DamagedRecord."""
    try:
        job = jobs.from_json(content)
    except ValueError as error:
        raise DamagedRecord(image_id, path, str(error)) from error
    if job.image_id != image_id:
        raise DamagedRecord(image_id, path, f"it is the record of {job.image_id!r}")
    return job


def read(directory: Path) -> Job:
    """The record in a job's directory. Raises FileNotFoundError, DamagedRecord, SpoolError."""
    path = directory / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise atomic.failed(path, error, "read") from error
    return parse(directory.name, path, content)


def event(job_seq: int, before: str, after: Status, reason: str, who: str) -> Event:
    """The event of a transition that happens now, here."""
    return {
        "time": jobs.timestamp(),
        "host": _HOST,
        "pid": os.getpid(),
        "from": before,
        "to": str(after),
        "reason": reason,
        "who": who,
        "seq": job_seq,
    }


class Record:
    """The record in `directory`, opened to be changed. Raises FileNotFoundError where there is no such job."""

    def __init__(self, directory: Path, index: Index) -> None:
        self.directory = directory
        self._index = index
        if not directory.is_dir():
            raise FileNotFoundError(directory)
        try:
            self.lock = Lock(directory / LOCK_NAME)
            try:
                self._slot = atomic.Slot(directory / FILE_NAME)
            except BaseException:
                self.lock.close()
                raise
        except SpoolError:
            if not directory.is_dir():  # set aside just now
                raise FileNotFoundError(directory) from None
            raise
        self._job: Job | None = None

    def current(self) -> Job:
        """The job as the record has it now. Raises FileNotFoundError, DamagedRecord, SpoolError."""
        if self._job is None or not self._slot.unchanged():
            self._job = None
            content = self._slot.read()
            self._job = parse(self.directory.name, self._slot.path, content)
        return self._job

    def update(self, changes: Mapping[str, object], *, settle: bool = True) -> Job:
        """Change fields but not the state. Raises InputError for what cannot be changed so."""
        self._refuse_fixed(changes)
        return self._put(self.current(), changes, settle=settle)

    def move(self, status: Status, reason: str, who: str, changes: Mapping[str, object]) -> Job:
        """Change the state, and fields with it. Raises InputError for a transition that the table lacks."""
        before = self.current()
        self._refuse_fixed(changes)
        if not jobs.allowed(before.status, status):
            possible = ", ".join(str(each) for each in Status if each in jobs.TRANSITIONS[before.status])
            raise InputError(
                f"job {before.image_id} is {before.status} and cannot become {status}",
                f"from {before.status} it can become {possible}" if possible else f"{before.status} is final",
            )
        path = self.directory / history.FILE_NAME
        history.heal(path, before.event)
        happened = event(before.event.get("seq", 0) + 1, str(before.status), status, reason, who)
        stamps: dict[str, object] = {}
        if status is Status.IN_QUEUE:
            stamps = {
                "started_at": "",
                "worker": {},
                "phase": "",
                "progress": 0.0,
                "progress_detail": "",
                "phases": (),
                "usage": {},
            }
        elif status is Status.BUILDING:
            stamps = {"started_at": happened["time"], "finished_at": ""}
        elif status in jobs.FINAL and not before.finished_at:
            stamps = {"finished_at": happened["time"]}
        self._index.add(before, status)
        if status in jobs.FINAL:
            # Who wants to be told of jobs must not be able to have one fail.
            with contextlib.suppress(SpoolError):
                ended.note(self.directory.parents[1], before.image_id, happened["seq"])
        try:
            after = self._put(before, {**stamps, **changes, "status": status, "event": happened})
        except BaseException:
            self._forget_entry(before, status)
            raise
        # The transition has happened and its event is in the record: should the disk be full just now, whoever
        # moves the job next, or fsck, completes the history from there before anything else.
        with contextlib.suppress(SpoolError):
            history.append(path, happened)
        self._index.remove(before, before.status)
        return after

    def note(self, reason: str, who: str, changes: Mapping[str, object]) -> Job:
        """Change fields but not the state, and have the history tell it: an event from the state to the same."""
        job = self.current()
        self._refuse_fixed(changes)
        path = self.directory / history.FILE_NAME
        history.heal(path, job.event)
        noted = event(job.event.get("seq", 0) + 1, str(job.status), job.status, reason, who)
        after = self._put(job, {**changes, "event": noted})
        with contextlib.suppress(SpoolError):  # as in `move`
            history.append(path, noted)
        return after

    def _refuse_fixed(self, changes: Mapping[str, object]) -> None:
        refused = next((key for key in changes if key in _FIXED or key == "status"), None)
        if refused is not None:
            raise InputError(
                f"field {refused} of job {self.directory.name} cannot be changed", "it changes by itself"
            )

    def _put(self, before: Job, changes: Mapping[str, object], *, settle: bool = True) -> Job:
        if "step" in changes:
            # Before the record says so, as with every entry of an index.
            self._index.lookup.add("step", str(changes["step"]), self.directory.name)
        try:
            after = jobs.amend(before, {**changes, "revision": before.revision + 1, "updated_at": jobs.timestamp()})
            content = jobs.to_json(after)
        except ValueError as error:
            raise InputError(f"job {before.image_id}: {error}", "the record is as it was") from error
        self._job = None  # should put fail, the file tells whether it was replaced
        self._slot.put(content, settle=settle)
        self._job = after
        return after

    def _forget_entry(self, before: Job, status: Status) -> None:
        with contextlib.suppress(SpoolError, FileNotFoundError):
            if self.current().status is before.status:
                self._index.remove(before, status)

    def history(self) -> list[Event]:
        """The transitions so far."""
        return history.read(self.directory / history.FILE_NAME, self.current().event)

    def worker_alive(self) -> bool:
        """Whether a process has the job claimed."""
        return is_held(self.directory / WORKER_LOCK_NAME)

    def close(self) -> None:
        """Let the lock and the file go. Can be repeated."""
        try:
            self._slot.close()
        finally:
            self.lock.close()


class Edit:
    """A job that is held for a moment to be changed. From `Spool.edit`; other processes wait for its end."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.job = record.current()

    def update(self, **changes: Any) -> Job:
        """Change fields, at once and durably. Raises InputError, SpoolError."""
        self.job = self._record.update(changes)
        return self.job

    def note(self, reason: str, who: str = "", **changes: Any) -> Job:
        """Change fields, and have the history say who did it and why. Raises InputError, SpoolError."""
        self.job = self._record.note(reason, who, changes)
        return self.job

    def move(self, status: Status, reason: str = "", who: str = "", **changes: Any) -> Job:
        """Change the state (and fields with it), at once and durably. Raises InputError, SpoolError."""
        if status is Status.IN_QUEUE and self._record.worker_alive():
            raise InputError(f"job {self.job.image_id} is being built", "cancel it, or wait for its worker's end")
        self.job = self._record.move(Status(status), reason, who, changes)
        return self.job
