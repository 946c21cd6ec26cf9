# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong with a spool: find it, name it, mend what can be mended.

`check` changes nothing and takes only locks that it holds for a moment, so it can run beside everything else.
Each `Finding` says in a sentence what is wrong with which job; `repair` mends one and says what it did. What
only the user can mend (an artifact that is gone) stays a finding. A job that was set aside is no finding: it is
where it belongs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore import atomic, names, process
from imgcore.errors import InputError, SpoolError
from imgcore.job import GOOD, Artifact, Job, Status
from imgcore.jobs import gc
from imgcore.lock import Lock
from imgcore.notify import ended
from imgcore.notify.outbox import Outbox
from imgcore.spool import DamagedRecord, Spool, aside, history, record
from imgcore.spool.index import entry_name

__all__ = ["KINDS", "Finding", "check", "repair"]

#: Every kind of damage, with what it means.
KINDS = {
    "unreadable-record": "a record that cannot be understood",
    "no-record": "a job's directory without a record",
    "no-access": "a record or history that this user may not read, or the disk does not give",
    "no-kickstart": "a job without the kickstart that it was requested with",
    "stray-file": "a temporary file or directory that an ended process left, or a file that belongs to nothing",
    "dead-worker": "a job left BUILDING by a worker that died",
    "missing-artifact": "a published file that is not there",
    "wrong-size": "a published file of another size than recorded",
    "wrong-digest": "a published file of another content than recorded",
    "history": "a history that lacks a transition or cannot be read",
    "index": "an index that says other than the records",
    "half-removed": "a job whose removal was interrupted",
    "not-told": "somebody who could not be told that a job has ended",
}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `kind` is one of KINDS; `image_id` is empty where it is no job's."""

    kind: str
    image_id: str
    path: Path
    sentence: str
    repairable: bool


def check(
    spool: Spool,
    base_dirs: Sequence[Path] = (),
    *,
    digests: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Finding]:
    """Everything that is wrong with the spool and with what its jobs published below `base_dirs`.

    Without `digests` the content of artifacts is not read. `progress` hears (jobs done, jobs, id).
    """
    found = list(_strays_being_made(spool))
    listed = spool.ids()
    for number, image_id in enumerate(listed):
        if progress is not None:
            progress(number, len(listed), image_id)
        found.extend(_check_entry(spool, image_id, base_dirs, digests))
    found.extend(_check_index(spool))
    found.extend(_half_removed(spool))
    found.extend(_not_told(spool))
    return found


def _strays_being_made(spool: Spool) -> Iterator[Finding]:
    place = spool.root / "tmp"
    if not place.is_dir() or not any(place.iterdir()):
        return
    with spool.making(alone=True):
        left = sorted(place.iterdir())
    for path in left:
        yield Finding("stray-file", "", path, f"{path} was left by a process that ended while it made a job", True)


def _check_entry(spool: Spool, image_id: str, base_dirs: Sequence[Path], digests: bool) -> Iterator[Finding]:
    path = spool.root / "jobs" / image_id
    try:
        named = names.image_id(image_id) == image_id
    except InputError:
        named = False
    if path.is_symlink() or not path.is_dir() or not named:
        yield Finding("stray-file", "", path, f"{path} is not a job's directory", True)
        return
    yield from _strays_of_job(path)
    try:
        job = spool.read(image_id)
    except DamagedRecord as damage:
        kind = "unreadable-record" if damage.path.exists() else "no-record"
        what = f"the record of job {image_id} is damaged: {damage.reason}"
        yield Finding(kind, image_id, damage.path, what, True)
    except SpoolError as error:
        yield Finding("no-access", image_id, path, error.message, False)
    except InputError:
        return  # set aside since the listing
    else:
        yield from _check_job(spool, job, base_dirs, digests)


def _strays_of_job(directory: Path) -> Iterator[Finding]:
    def left() -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(path for path in directory.iterdir() if atomic.is_stray(path.name))
        return []

    if not left():
        return
    with contextlib.suppress(SpoolError), _locked(directory):
        # Under the lock nobody is writing: what is here now was left.
        for path in left():
            sentence = f"{path} was left by a process that ended while it wrote"
            yield Finding("stray-file", directory.name, path, sentence, True)


def _check_job(spool: Spool, job: Job, base_dirs: Sequence[Path], digests: bool) -> Iterator[Finding]:
    directory = spool.directory(job.image_id)
    if not (directory / "kickstart.ks").exists():
        sentence = f"job {job.image_id} has lost the kickstart that it was requested with"
        yield Finding("no-kickstart", job.image_id, directory / "kickstart.ks", sentence, False)
    # It may have ended between the two looks.
    dead = spool.lost(job) and spool.lost(spool.read(job.image_id))
    if dead:
        sentence = f"job {job.image_id} is BUILDING, but its worker is dead"
        yield Finding("dead-worker", job.image_id, directory / record.FILE_NAME, sentence, True)
    if dead or job.status is not Status.BUILDING:
        for base_dir in base_dirs:
            partial = base_dir / job.prefix / f".{job.image_id}.partial"
            if os.path.lexists(partial):
                sentence = f"{partial} was left by a worker that died while it published"
                yield Finding("stray-file", job.image_id, partial, sentence, True)
    yield from _check_history(directory, job)
    yield from _check_lookup(spool, job)
    # What has no place has its files elsewhere: it was imported.
    if job.status in GOOD and job.directory and process.is_here(job.worker):
        for artifact in job.artifacts:
            yield from _check_artifact(job, artifact, digests)


def _check_history(directory: Path, job: Job) -> Iterator[Finding]:
    path = directory / history.FILE_NAME
    try:
        if not history.faults(path, job.event):
            return
        # A transition may have been half done: look again when nobody is at it.
        with _locked(directory):
            event = record.read(directory).event
            faults = history.faults(path, event)
    except (SpoolError, FileNotFoundError) as error:
        yield Finding("no-access", job.image_id, path, getattr(error, "message", str(error)), False)
        return
    for fault in faults:
        yield Finding("history", job.image_id, path, f"the history of job {job.image_id} is damaged: {fault}", True)


def _check_lookup(spool: Spool, job: Job) -> Iterator[Finding]:
    lookup, missing = spool.index.lookup, []
    if lookup.lacks(job):
        # It may be another value by now: look again when nobody is at it.
        with contextlib.suppress(SpoolError, InputError), _locked(spool.directory(job.image_id)):
            missing = lookup.lacks(spool.read(job.image_id))
    for path in missing:
        sentence = f"the index does not find job {job.image_id} by all that its record says"
        yield Finding("index", job.image_id, path, sentence, True)


def _check_artifact(job: Job, artifact: Artifact, digests: bool) -> Iterator[Finding]:
    name, recorded = artifact["name"], artifact["size"]
    try:
        path = names.inside(Path(job.directory), name, "artifacts")
        size = path.stat().st_size if path.is_file() else None
    except (InputError, OSError, ValueError):
        path, size = Path(job.directory) / name, None
    about = f"{name} of job {job.image_id}"
    if size is None:
        yield Finding("missing-artifact", job.image_id, path, f"{about} is not there ({path})", False)
    elif size != recorded:
        sentence = f"{about} has {size} bytes where {recorded} were published ({path})"
        yield Finding("wrong-size", job.image_id, path, sentence, False)
    elif digests and artifact["sha256"]:
        try:
            digest = _sha256(path)
        except OSError as error:
            yield Finding("no-access", job.image_id, path, f"{about} cannot be read: {error.strerror}", False)
            return
        if digest != artifact["sha256"]:
            yield Finding("wrong-digest", job.image_id, path, f"{about} has other content than published", False)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _check_index(spool: Spool) -> Iterator[Finding]:
    entries = spool.index.by_job()
    for image_id in sorted({*entries, *spool.ids()}):
        try:
            there = entries.get(image_id, set())
            right = _right_entries(spool, image_id)
            if right is None or right == there:
                continue
            # It may be on its way from one state to the other: look again when nobody is at it.
            with spool.making(alone=True), _locked_job(spool, image_id):
                right = _right_entries(spool, image_id) or set()
                there = {entry for entry in there | right if spool.index.has(*entry)}
        except (SpoolError, InputError):
            continue  # told already
        for status, entry in sorted(right ^ there):
            told = (
                f"lacks job {image_id} in {status}" if (status, entry) in right else f"has job {image_id} in {status}"
            )
            yield Finding("index", image_id, spool.index.root / status.name / entry, f"the index {told}", True)


def _half_removed(spool: Spool) -> Iterator[Finding]:
    """Removals that did not come to their end; not those that are under way."""
    left = set(gc.interrupted(spool))
    if left and not gc.busy(spool):
        # It may have come to its end between the two looks.
        for image_id in sorted(left.intersection(gc.interrupted(spool))):
            sentence = f"the removal of job {image_id} was interrupted (the next `img gc` with --yes ends it)"
            yield Finding("half-removed", image_id, spool.removed / image_id, sentence, False)


def _not_told(spool: Spool) -> Iterator[Finding]:
    for path, letter in Outbox(ended.place(spool.root)).failed():
        what = f"{letter.channel} {letter.whom}".strip() if letter else "somebody"
        why = f": {letter.reason}" if letter else ""
        sentence = f"{what} was not told of job {path.name.partition('~')[0]}{why} (`img notify --again` tries it)"
        plain = "".join(each for each in " ".join(sentence.split()) if each.isprintable())
        yield Finding("not-told", letter.image_id if letter else "", path, plain, False)


def _right_entries(spool: Spool, image_id: str) -> set[tuple[Status, str]] | None:
    """What the index should have of a job; None where its record cannot be read, which is told as such."""
    try:
        job = spool.read(image_id)
    except DamagedRecord:
        return None
    except InputError:
        return set()
    return {(job.status, entry_name(job))}


def _locked_job(spool: Spool, image_id: str) -> contextlib.AbstractContextManager[None]:
    try:
        return _locked(spool.directory(image_id))
    except InputError:
        return contextlib.nullcontext()  # no job can have such a name


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    if not directory.is_dir():
        yield
        return
    lock = Lock(directory / record.LOCK_NAME)
    try:
        with lock.held():
            yield
    finally:
        lock.close()


def repair(spool: Spool, finding: Finding) -> str:
    """Mend what was found; a sentence that says what was done. Raises InputError for what cannot be mended."""
    if not finding.repairable:
        raise InputError(finding.sentence, "this cannot be repaired: build the image again, or remove the job")
    if finding.kind in ("unreadable-record", "no-record"):
        where = spool.set_aside(finding.image_id, finding.sentence)
        spool.forget_entries({finding.image_id: spool.index.by_job().get(finding.image_id, set())})
        return f"job {finding.image_id} was set aside in {where}"
    if finding.kind == "dead-worker":
        ended = spool.recover(finding.image_id)
        return (
            f"job {finding.image_id} is now {ended.status}"
            if ended
            else f"job {finding.image_id} has ended by itself"
        )
    if finding.kind == "history":
        _mend_history(spool, finding.image_id)
        return f"the history of job {finding.image_id} was completed from its record"
    if finding.kind == "index":
        _mend_index(spool, finding)
        return f"the index has job {finding.image_id} as its record"
    return _remove(spool, finding)


def _mend_history(spool: Spool, image_id: str) -> None:
    directory = spool.directory(image_id)
    path = directory / history.FILE_NAME
    with _locked(directory):
        event = record.read(directory).event
        history.heal(path, event)
        if history.faults(path, event):
            history.rewrite(path, event)


def _mend_index(spool: Spool, finding: Finding) -> None:
    lookup = spool.index.lookup
    if finding.path.is_relative_to(lookup.root):
        with _locked_job(spool, finding.image_id):
            lookup.add_job(spool.read(finding.image_id))
        return
    status, entry = Status[finding.path.parent.name], finding.path.name
    with spool.making(alone=True), _locked_job(spool, finding.image_id):
        if (status, entry) in (_right_entries(spool, finding.image_id) or set()):
            spool.index.add(spool.read(finding.image_id), status)
        else:
            spool.index.discard(status, entry)


def _remove(spool: Spool, finding: Finding) -> str:
    path = finding.path
    if path.name == f".{finding.image_id}.partial":
        return _remove_partial(spool, finding)
    if path.parent == spool.root / "jobs":
        # Somebody put it there, and may want it back.
        return f"{path} is now {aside.move(path, spool.root / 'damaged', finding.sentence)}"
    in_job = path.parent.parent == spool.root / "jobs"
    with spool.making(alone=True), _locked(path.parent) if in_job else contextlib.nullcontext():
        return _removed(path)


def _remove_partial(spool: Spool, finding: Finding) -> str:
    """Remove what a dead worker was publishing, unless the job was begun again since: then it is the new one's."""
    with _locked_job(spool, finding.image_id):
        with contextlib.suppress(InputError):  # the job was removed since
            job = spool.read(finding.image_id)
            if job.status is Status.BUILDING and not spool.lost(job):
                return f"{finding.path} stays: job {job.image_id} is built again"
        return _removed(finding.path)


def _removed(path: Path) -> str:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise atomic.failed(path, error, "removed") from error
    return f"{path} was removed"
