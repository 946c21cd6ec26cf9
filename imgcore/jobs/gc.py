# SPDX-License-Identifier: GPL-2.0-or-later
"""Making room: which ended jobs can go, and removing a job with what it published.

Never goes: what is pinned, waits or is built, the last good image of a kind (prefix, name, architecture and type),
and a job whose step of a process ended less than a day ago, for the process may ask for it again.

A removal, so that a crash between any two steps loses nothing and leaves nothing for ever: the job's directory is
moved to removed/ under the job's lock, by which it is gone for everybody; then its published files are removed, then
what was moved. `resume` ends what was interrupted. Only files below the given directories are touched, where the
record of the job says that they are its own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imgcore import atomic, names, process
from imgcore import job as jobs
from imgcore.amounts import moment
from imgcore.errors import ImagerError, InputError, SpoolError
from imgcore.job import FINAL, GOOD, Job
from imgcore.jobs.selection import Selection
from imgcore.lock import Lock, is_held
from imgcore.spool import DamagedRecord, Spool

__all__ = ["Candidate", "Policy", "alone", "busy", "interrupted", "plan", "remove", "resume", "used"]

_STEP_REST = timedelta(days=1)
_LOCK_NAME = "gc.lock"
_NAME_IT = "name the place with --outdir"
_Kind = tuple[str, str, str, str]


@dataclass(frozen=True)
class Policy:
    """What may go: a job has to fit all of it."""

    selection: Selection = field(default_factory=Selection)
    #: Ended before.
    before: datetime | None = None
    #: More than so many of its kind have ended since.
    keep: int | None = None
    #: While all jobs together have more bytes, the oldest first.
    most_bytes: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A job that can go; `bytes` is what the disk gets back, `spared` says why it cannot go nevertheless."""

    job: Job
    files: Path | None
    bytes: int
    spared: str = ""


def plan(
    spool: Spool,
    policy: Policy,
    base_dirs: Sequence[Path],
    on_damage: Callable[[DamagedRecord], None] | None = None,
) -> list[Candidate]:
    """What would go, that which ended first before the rest. Changes nothing. Raises SpoolError."""
    ended = list(spool.newest(*FINAL, on_damage=on_damage))
    protected = _last_good(ended)
    counts: dict[_Kind, int] = {}
    chosen = []
    for job in ended:
        if not policy.selection.fits(job):
            continue
        place = counts[_kind(job)] = counts.get(_kind(job), 0) + 1
        young = policy.before is not None and _ended(job) >= policy.before
        if not young and place > (policy.keep or 0) and job.image_id not in protected and may_go(job):
            chosen.append(job)
    chosen.sort(key=_ended)
    candidates = (_candidate(spool, job, base_dirs) for job in chosen)
    if policy.most_bytes is None:
        return list(candidates)
    return list(_until(policy.most_bytes, _used_by_all(spool, base_dirs), candidates))


def may_go(job: Job) -> bool:
    """Whether this job, looked at alone, may be removed."""
    asked_for = bool(job.step or job.request_step) and _ended(job) > datetime.now(UTC) - _STEP_REST
    return job.status in FINAL and not job.pinned and not asked_for


def remove(spool: Spool, candidate: Candidate, base_dirs: Sequence[Path]) -> int:
    """Remove a job if it still may go; the bytes that the disk got back. Raises SpoolError."""
    if candidate.spared:
        return 0
    moved = spool.take_out(candidate.job.image_id, may_go)
    return _finish(spool, moved, base_dirs) if moved else 0


def interrupted(spool: Spool) -> list[str]:
    """The ids of the jobs whose removal did not come to its end."""
    place = spool.removed
    return sorted(each.name for each in place.iterdir()) if place.is_dir() else []


def resume(spool: Spool, image_id: str, base_dirs: Sequence[Path]) -> int:
    """Bring a removal that was interrupted to its end; the bytes that the disk got back. Raises SpoolError."""
    return _finish(spool, spool.removed / image_id, base_dirs)


@contextmanager
def alone(spool: Spool) -> Iterator[None]:
    """Nobody else makes room meanwhile. Raises ImagerError where somebody does."""
    lock = Lock(spool.root / _LOCK_NAME)
    try:
        if not lock.acquire(wait=False):
            raise ImagerError(f"another process makes room in {spool.root}", "wait for its end")
        yield
    finally:
        lock.close()


def busy(spool: Spool) -> bool:
    """Whether somebody makes room now."""
    return is_held(spool.root / _LOCK_NAME)


def _kind(job: Job) -> _Kind:
    return job.prefix, job.name, job.arch, job.image_type


def _ended(job: Job) -> datetime:
    return moment(job.finished_at) or moment(job.updated_at) or datetime.now(UTC)


def _last_good(ended: Iterable[Job]) -> set[str]:
    """Of each kind the image that was asked for last, and the one that was made last.

    What says where its files are goes before what does not: that was imported, and has no image.
    """
    asked: dict[_Kind, Job] = {}
    made: dict[_Kind, Job] = {}
    for job in ended:
        if job.status in GOOD:
            kind, placed = _kind(job), bool(job.directory)
            if kind not in asked or placed > bool(asked[kind].directory):
                asked[kind] = job
            if kind not in made or (placed, _ended(job)) > (bool(made[kind].directory), _ended(made[kind])):
                made[kind] = job
    return {job.image_id for each in (asked, made) for job in each.values()}


def _candidate(spool: Spool, job: Job, base_dirs: Sequence[Path]) -> Candidate:
    files = _published(job, base_dirs)
    spared = ""
    if _elsewhere(job, files):
        spared = f"its files are elsewhere, in {job.directory}: {_NAME_IT}"
    elif not all(os.access(each, os.W_OK | os.X_OK) for each in (spool.directory(job.image_id), *_needed(files))):
        spared = "it belongs to somebody else"
    size = 0 if spared else used(spool.directory(job.image_id)) + used(files)
    return Candidate(job, files, size, spared)


def _elsewhere(job: Job, files: Path | None) -> bool:
    """Whether this machine has files of the job that are not `files`."""
    return files is None and process.is_here(job.worker) and os.path.isdir(job.directory)  # noqa: PTH112 - never raises


def _needed(files: Path | None) -> tuple[Path, ...]:
    return (files, files.parent) if files else ()


def _until(most: int, used: int, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    for each in candidates:
        if used <= most:
            return
        used -= each.bytes
        yield each


def _used_by_all(spool: Spool, base_dirs: Sequence[Path]) -> int:
    return sum(used(spool.directory(job.image_id)) + used(_published(job, base_dirs)) for job in spool.newest())


def _published(job: Job, base_dirs: Sequence[Path]) -> Path | None:
    """Where the job's files are, if that is below one of `base_dirs` and in no other job's place."""
    for base_dir in base_dirs:
        try:
            parent = names.inside(base_dir, names.prefix(job.prefix), "prefix")
            found = parent / names.image_id(job.image_id)
            if stat.S_ISDIR(found.lstat().st_mode) and found.samefile(job.directory or "/"):
                return found
        except (InputError, OSError, ValueError):  # ValueError: a path that cannot be
            continue
    return None


def used(place: Path | None) -> int:
    """Bytes on the disk below `place` that go with it: not those that have another name too."""
    if place is None or not os.path.lexists(place):
        return 0
    total = 0
    for directory, _, files in os.walk(place):
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            try:
                found = path.lstat()
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                total += found.st_blocks * 512
    return total


def _finish(spool: Spool, moved: Path, base_dirs: Sequence[Path]) -> int:
    """Remove the published files of a job that was taken out, then the rest of it."""
    files = None
    try:
        job = jobs.from_json((moved / "job.json").read_bytes())
        # One that was made since under the same id has its files in the same place.
        if job.image_id == moved.name and not spool.directory(job.image_id).is_dir():
            spool.forget(job)
            files = _published(job, base_dirs)
            if _elsewhere(job, files):
                raise SpoolError(
                    f"{moved.name} is half removed: its files are elsewhere, in {job.directory}", _NAME_IT
                )
    except FileNotFoundError:
        pass  # the record goes after the files
    except (OSError, ValueError) as error:
        raise SpoolError(
            f"{moved} cannot be removed: its record cannot be read: {error}", "remove it by hand"
        ) from error
    freed = 0
    for place in (files, moved):
        if place is not None:
            freed += used(place)
            _remove(place)
    return freed


def _remove(place: Path) -> None:
    try:
        shutil.rmtree(place)
    except OSError as error:
        raise atomic.failed(place, error, "removed") from error
    atomic.sync_directory(place.parent)
