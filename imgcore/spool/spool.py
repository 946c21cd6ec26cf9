# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool: where jobs are. One directory a job; everything else is derived from the records.

    jobs/ID/    job.json (the record), kickstart.ks, workitem.json, events.jsonl, build.log, lock, worker.lock
    index/      which job is in which state; can be deleted (imgcore.spool.index)
    removed/    jobs that are being removed (imgcore.jobs.gc)
    tmp/        jobs being made; damaged/ what was set aside, with `reason`

Records are replaced, never edited, by one writer at a time; a job appears by one rename, whole; an unreadable
record stops that job alone. Errors: InputError for what was asked wrongly (no such job, id taken, transition
that the table lacks), SpoolError for a spool that cannot be read or written, then with the record as it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from imgcore import atomic, names
from imgcore import job as jobs
from imgcore.errors import InputError, SpoolError
from imgcore.job import Event, Job, Status
from imgcore.lock import Lock, is_held
from imgcore.spool import aside, claim, history, index, record
from imgcore.spool.aside import DamagedJob
from imgcore.spool.claim import Claim
from imgcore.spool.queue import Queue
from imgcore.spool.record import DamagedRecord, Edit, Record

__all__ = ["Claim", "DamagedJob", "DamagedRecord", "Edit", "Spool"]

_NEAREST_OF = 5000
# The last one says that a spool is there.
_PLACES = ("index", "tmp", "damaged", "jobs")


class Spool:
    """The spool below the directory `root`, made where it is not there (unless `create` is false)."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self.root = root
        self._jobs = root / "jobs"
        self.removed = root / "removed"
        self.index = index.Index(root / "index")
        self._queue = Queue(self._jobs, self.index, root / "damaged")
        if not self._jobs.is_dir():
            if not create:
                raise SpoolError(
                    f"there is no spool at {root}", "name another with --spool, or build something first"
                )
            for place in _PLACES:
                atomic.make_directory(root / place)
            atomic.sync_directory(root)
            atomic.sync_directory(root.parent)
        self._prepare_index()

    def _prepare_index(self) -> None:
        """Make the index anew where it is not whole."""
        if not self.index.is_whole() and os.access(self.root, os.W_OK):
            # A spool that is full can still be read; the next one to open it tries again.
            with contextlib.suppress(SpoolError):
                self.rebuild_index()
                self.index.settle()

    # ---- places

    def directory(self, image_id: str) -> Path:
        """The job's directory (whether it is there or not)."""
        return self._jobs / names.image_id(image_id)

    def log(self, image_id: str) -> Path:
        """The job's log (whether it is there or not)."""
        return self.directory(image_id) / "build.log"

    def kickstart(self, image_id: str) -> bytes:
        """The kickstart as it was requested."""
        path = self.directory(image_id) / "kickstart.ks"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if path.parent.is_dir():
                raise SpoolError(f"{path} is not there", "`img fsck` says what else is damaged") from None
            raise self._no_job(image_id) from None
        except OSError as error:
            raise atomic.failed(path, error, "read") from error

    # ---- making

    def new_id(self, stem: str, now: datetime | None = None) -> str:
        """A free id for `stem`: `stem-YYYYmmdd-HHMMSS`, with a number behind it where that is taken."""
        moment = (now or datetime.now(UTC)).astimezone(UTC)
        plain = names.image_id(f"{stem}-{moment:%Y%m%d-%H%M%S}")
        candidate, number = plain, 1
        while os.path.lexists(self._jobs / candidate):
            number += 1
            candidate = f"{plain}-{number}"
        return candidate

    def create(
        self,
        job: Job,
        *,
        kickstart: bytes,
        workitem: bytes | None = None,
        reason: str = "",
        who: str = "",
    ) -> Job:
        """Put a new job in the queue. Raises InputError where its id is taken, and then has done nothing."""
        return self._new(job, Status.IN_QUEUE, kickstart, workitem, reason, who)

    def adopt(self, job: Job, *, kickstart: bytes, reason: str = "", who: str = "") -> Job:
        """Record a job that has ended elsewhere. Raises as `create`, and InputError where it has not ended."""
        if job.status not in jobs.FINAL:
            raise InputError(f"job {job.image_id} is {job.status}, it has not ended", "record it when it has")
        return self._new(job, job.status, kickstart, None, reason, who)

    def _new(
        self,
        job: Job,
        status: Status,
        kickstart: bytes,
        workitem: bytes | None,
        reason: str,
        who: str,
    ) -> Job:
        image_id = names.image_id(job.image_id)
        target = self._jobs / image_id
        if os.path.lexists(target):
            raise self._taken(image_id)
        born = record.event(1, "", status, reason, who or job.user)
        try:
            values = {
                each.name: getattr(job, each.name) for each in dataclasses.fields(job) if each.name != "unknown"
            }
            stamps = {"revision": 1, "status": status, "event": born, "updated_at": born["time"]}
            made = jobs.amend(job, {**values, **stamps, "requested_at": job.requested_at or born["time"]})
            files = {record.FILE_NAME: jobs.to_json(made), "kickstart.ks": kickstart}
            if workitem is not None:
                files["workitem.json"] = workitem
        except (ValueError, TypeError) as error:
            raise InputError(f"job {image_id}: {error}", "correct the field") from error
        files[history.FILE_NAME] = history.render(born)
        with self.making():
            building = self.root / "tmp" / f"{image_id}.{secrets.token_hex(6)}"
            try:
                atomic.make_directory(building)
                for name, content in files.items():
                    atomic.write_new(building / name, content)
                atomic.sync_directory(building)
                self.index.add(made, status)
                self.index.lookup.add_job(made)
                self._put_in_place(building, target)
            except BaseException:
                if building.is_dir():
                    self._forget_unmade(made)
                    shutil.rmtree(building, ignore_errors=True)
                raise
        return made

    def create_unique(
        self,
        stem: str,
        job: Job,
        *,
        kickstart: bytes,
        workitem: bytes | None = None,
        reason: str = "",
        who: str = "",
        now: datetime | None = None,
    ) -> Job:
        """As `create`, with an id of its own made from `stem`, whoever else makes one at the same time."""
        while True:
            image_id = self.new_id(stem, now)
            candidate = dataclasses.replace(job, image_id=image_id)
            try:
                return self.create(candidate, kickstart=kickstart, workitem=workitem, reason=reason, who=who)
            except InputError:
                if not os.path.lexists(self._jobs / image_id):
                    raise

    def _put_in_place(self, building: Path, target: Path) -> None:
        try:
            # Fails on a job that is there: a directory that is not empty is never replaced.
            building.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise self._taken(target.name) from error
            raise atomic.failed(target, error) from error
        atomic.sync_directory(self._jobs)

    def _forget_unmade(self, made: Job) -> None:
        """Remove the index entry of a job that did not get its place; another's that has it is left."""
        with contextlib.suppress(SpoolError, InputError):
            if index.entry_name(self.read(made.image_id)) == index.entry_name(made):
                return
        self.index.remove(made, made.status)

    @contextmanager
    def making(self, *, alone: bool = False) -> Iterator[None]:
        """Many may make jobs at a time; `alone` nobody does, so that what is in tmp/ is nobody's."""
        lock = Lock(self.root / "lock")
        try:
            with lock.held(shared=not alone):
                yield
        finally:
            lock.close()

    # ---- reading

    def read(self, image_id: str) -> Job:
        """The job. Raises InputError where there is none, DamagedRecord where its record is unreadable."""
        directory = self.directory(image_id)
        try:
            return record.read(directory)
        except FileNotFoundError:
            if not directory.is_dir():
                raise self._no_job(image_id) from None
            raise DamagedRecord(image_id, directory / record.FILE_NAME, "it is not there") from None

    def ids(self, *statuses: Status) -> list[str]:
        """The ids of the jobs in these states, oldest request first, without reading a record; all: by name.

        After a crash it can name a job that has just left the state.
        """
        if statuses:
            return self.index.ids(statuses)
        try:
            with os.scandir(self._jobs) as listing:
                return sorted(entry.name for entry in listing)
        except OSError as error:
            raise atomic.failed(self._jobs, error, "read") from error

    def newest(
        self,
        *statuses: Status,
        since: datetime | None = None,
        names: Collection[str] = (),
        on_damage: Callable[[DamagedRecord], None] | None = None,
    ) -> Iterator[Job]:
        """As `jobs`, the newest request first; none requested before `since`, or of another name than `names` has.

        The first ones come at once.
        """
        wanted = statuses or tuple(Status)
        return self._read_all(self.index.newest(wanted, since, names), wanted, on_damage)

    def jobs(self, *statuses: Status, on_damage: Callable[[DamagedRecord], None] | None = None) -> Iterator[Job]:
        """The jobs in these states (all), passing over damaged records, which are told to `on_damage`."""
        return self._read_all(self.ids(*statuses), statuses, on_damage)

    def _read_all(
        self,
        ids: Iterable[str],
        statuses: Sequence[Status],
        on_damage: Callable[[DamagedRecord], None] | None,
    ) -> Iterator[Job]:
        for image_id in ids:
            try:
                job = self.read(image_id)
            except DamagedRecord as error:
                if on_damage is not None:
                    on_damage(error)
            except InputError:
                continue  # a stray name, or set aside since the listing
            else:
                if not statuses or job.status in statuses:
                    yield job

    def find(self, field: str, value: str) -> list[Job]:
        """The jobs that have this value in a field of `lookup.FIELDS`, oldest first, without reading the others."""
        found = []
        for image_id in self.index.lookup.ids(field, value) if value else ():
            with contextlib.suppress(DamagedRecord, InputError):
                job = self.read(image_id)
                if getattr(job, field) == value:
                    found.append(job)
        return sorted(found, key=lambda job: job.requested_at)

    def history(self, image_id: str) -> list[Event]:
        """The job's transitions, oldest first."""
        job = self.read(image_id)
        return history.read(self.directory(image_id) / history.FILE_NAME, job.event)

    def _no_job(self, image_id: str) -> InputError:
        near: list[str] = []
        with contextlib.suppress(SpoolError):
            known = self.ids()
            if len(known) <= _NEAREST_OF:
                near = difflib.get_close_matches(image_id, known, 1)
        remedy = f"did you mean {near[0]}?" if near else "`img jobs` shows those that are"
        return InputError(f"there is no job {image_id} in {self.root}", remedy)

    @staticmethod
    def _taken(image_id: str) -> InputError:
        return InputError(f"field image_id: {image_id} is taken by another job", "choose another id")

    # ---- changing

    @contextmanager
    def edit(self, image_id: str) -> Iterator[Edit]:
        """The job, held for the block to be changed; short, others wait. Raises as `read`."""
        with self._opened(image_id) as opened:
            yield Edit(opened)

    @contextmanager
    def _opened(self, image_id: str) -> Iterator[Record]:
        try:
            opened = Record(self.directory(image_id), self.index)
        except FileNotFoundError:
            raise self._no_job(image_id) from None
        try:
            with opened.lock.held():
                if not opened.directory.is_dir():  # removed, or set aside, while we waited
                    raise self._no_job(image_id)
                try:
                    opened.current()
                except FileNotFoundError:
                    path = opened.directory / record.FILE_NAME
                    raise DamagedRecord(image_id, path, "it is not there") from None
                yield opened
        finally:
            opened.close()

    # ---- removing

    def take_out(self, image_id: str, may_go: Callable[[Job], bool]) -> Path | None:
        """Move an ended job out of jobs/, so that it is gone for everybody; where it is now.

        None where somebody still has it, or its record, as it is at this moment, may not go. Raises as `edit`.
        """
        with self._opened(image_id) as opened:
            job = opened.current()
            if job.status not in jobs.FINAL or opened.worker_alive() or not may_go(job):
                return None
            target = self.removed / image_id
            atomic.make_directory(self.removed)
            try:
                opened.directory.rename(target)
            except OSError as error:
                raise atomic.failed(target, error) from error
            atomic.sync_directory(self.removed)
            atomic.sync_directory(self._jobs)
            self.forget(job)
            return target

    def forget(self, job: Job) -> None:
        """Remove the index entries of a job that is not in jobs/ any more."""
        self.index.remove(job, job.status)
        self.index.lookup.remove_job(job)

    # ---- claiming

    def claim(self, worker: str = "") -> Claim | None:
        """Take the oldest job IN QUEUE, or None. An unreadable record on the way is set aside."""
        return self._queue.claim(worker)

    def start(self, image_id: str, worker: str = "") -> Claim:
        """Take this job. Raises InputError where it is not IN QUEUE."""
        opened = Record(self.directory(image_id), self.index) if self.directory(image_id).is_dir() else None
        if opened is None:
            raise self._no_job(image_id)
        try:
            with opened.lock.held():
                try:
                    return Claim(opened, worker)
                except FileNotFoundError:
                    path = opened.directory / record.FILE_NAME
                    raise DamagedRecord(image_id, path, "it is not there") from None
        except BaseException:
            opened.close()
            raise

    def alive(self, image_id: str) -> bool:
        """Whether a process has the job claimed."""
        return is_held(self.directory(image_id) / record.WORKER_LOCK_NAME)

    def lost(self, job: Job) -> bool:
        """Whether the job is BUILDING and the worker that its record names has died on this machine."""
        return claim.lost(job, self.directory(job.image_id))

    def recover(self, image_id: str, *, requeue: bool = False, reason: str = "", by: str = "") -> Job | None:
        """End, or queue again, a BUILDING job whose worker died. None where there is nothing to recover.

        `by`: the worker's name where the job is known to be its own, whatever its machine was called then.
        """
        with self._opened(image_id) as opened:
            return claim.recover(opened, requeue=requeue, reason=reason, by=by)

    def recover_all(self) -> list[Job]:
        """End every job that a dead worker has left, but those that the step of a process will look after."""
        found = []
        for job in self.jobs(Status.BUILDING):
            if not job.step and self.lost(job):
                with contextlib.suppress(DamagedRecord, InputError):
                    if ended := self.recover(job.image_id):
                        found.append(ended)
        return found

    # ---- what is wrong, what is derived

    def set_aside(self, image_id: str, reason: str) -> Path:
        """Move the job's directory to damaged/, with its reason; where it is now. It stops that job alone."""
        directory = self.directory(image_id)
        lock = Lock(directory / record.LOCK_NAME)
        try:
            with lock.held():
                return aside.move(directory, self.root / "damaged", reason)
        finally:
            lock.close()

    def damaged(self) -> list[DamagedJob]:
        """The jobs that were set aside."""
        return aside.listing(self.root / "damaged")

    def rebuild_index(self) -> None:
        """Make the index anew from the records. Others can go on meanwhile."""
        self.index.prepare()
        entries = self.index.by_job()
        for image_id in self.ids():
            there = entries.pop(image_id, set())
            with contextlib.suppress(DamagedRecord, InputError):
                job = self.read(image_id)
                self.index.lookup.add_job(job)
                if there != {(job.status, index.entry_name(job))}:
                    self.index_job(image_id, there)
        self.forget_entries(entries)

    def index_job(self, image_id: str, there: Iterable[tuple[Status, str]]) -> None:
        """Make the index entries of one job, which are `there`, what its record says."""
        with self._opened(image_id) as opened:
            job = opened.current()
            self.index.add(job, job.status)
            for status, entry in there:
                if (status, entry) != (job.status, index.entry_name(job)):
                    self.index.discard(status, entry)

    def forget_entries(self, entries: Mapping[str, Iterable[tuple[Status, str]]]) -> None:
        """Remove index entries of jobs that are not there; nobody can be about to put them in place meanwhile."""
        with self.making(alone=True):
            for image_id, lost in entries.items():
                if not os.path.lexists(self._jobs / image_id):
                    for status, entry in lost:
                        self.index.discard(status, entry)
