"""The spool: where jobs are. One directory a job; everything else is derived from the records.

    jobs/ID/    job.json (the record), kickstart.ks, workitem.json, events.jsonl, build.log, lock, worker.lock
    index/      which job is in which state; can be deleted (imgcore.index)
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
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgcore import aside, atomic, claim, history, index, names, record
from imgcore import job as jobs
from imgcore.aside import DamagedJob
from imgcore.claim import Claim
from imgcore.errors import InputError, SpoolError
from imgcore.job import Event, Job, Status
from imgcore.lock import Lock, is_held
from imgcore.queue import Queue
from imgcore.record import DamagedRecord, Edit, Record

__all__ = ["Claim", "DamagedJob", "DamagedRecord", "Edit", "Spool"]

_NEAREST_OF = 5000
# The last one says that a spool is there.
_PLACES = ("index", "tmp", "damaged", "jobs")


class Spool:
    """The spool below the directory `root`, made where it is not there (unless `create` is false)."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self.root = root
        self._jobs = root / "jobs"
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
        """Make the index anew where it is missing, or where the machine went down since (with its last entries)."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = "unknown"
        mark = self.index.root / f".boot-{boot}"
        if not mark.exists() and os.access(self.root, os.W_OK):
            # A spool that is full can still be read; the next one to open it tries again.
            with contextlib.suppress(SpoolError):
                self.rebuild_index()
                atomic.replace(mark, b"")

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
        workitem: Mapping[str, Any] | None = None,
        reason: str = "",
        who: str = "",
    ) -> Job:
        """Put a new job in the queue. Raises InputError where its id is taken, and then has done nothing."""
        image_id = names.image_id(job.image_id)
        target = self._jobs / image_id
        if os.path.lexists(target):
            raise self._taken(image_id)
        born = record.event(1, "", Status.IN_QUEUE, reason, who or job.user)
        try:
            values = {
                each.name: getattr(job, each.name) for each in dataclasses.fields(job) if each.name != "unknown"
            }
            stamps = {"revision": 1, "status": Status.IN_QUEUE, "event": born, "updated_at": born["time"]}
            made = jobs.amend(job, {**values, **stamps, "requested_at": job.requested_at or born["time"]})
            files = {record.FILE_NAME: jobs.to_json(made), "kickstart.ks": kickstart}
            if workitem is not None:
                files["workitem.json"] = json.dumps(dict(workitem), indent=2, sort_keys=True).encode()
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
                self.index.add(made, Status.IN_QUEUE)
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
        workitem: Mapping[str, Any] | None = None,
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
        self.index.remove(made, Status.IN_QUEUE)

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

    def jobs(self, *statuses: Status, on_damage: Callable[[DamagedRecord], None] | None = None) -> Iterator[Job]:
        """The jobs in these states (all), passing over damaged records, which are told to `on_damage`."""
        for image_id in self.ids(*statuses):
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
        remedy = f"did you mean {near[0]}?" if near else "`img list` shows the jobs"
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
                try:
                    opened.current()
                except FileNotFoundError:
                    if not opened.directory.is_dir():
                        raise self._no_job(image_id) from None
                    path = opened.directory / record.FILE_NAME
                    raise DamagedRecord(image_id, path, "it is not there") from None
                yield opened
        finally:
            opened.close()

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

    def recover(self, image_id: str, *, requeue: bool = False, reason: str = "") -> Job | None:
        """End, or queue again, a BUILDING job whose worker died. None where there is nothing to recover."""
        with self._opened(image_id) as opened:
            return claim.recover(opened, requeue=requeue, reason=reason)

    def recover_all(self, *, requeue: bool = False) -> list[Job]:
        """Recover every job that a dead worker has left; what cannot be read is passed over."""
        found = []
        for image_id in self.ids(Status.BUILDING):
            with contextlib.suppress(DamagedRecord, InputError):
                if not self.alive(image_id) and (job := self.recover(image_id, requeue=requeue)):
                    found.append(job)
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
