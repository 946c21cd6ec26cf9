# SPDX-License-Identifier: GPL-2.0-or-later
"""How a request becomes a job: a new one, an equal one that is there, or another attempt at one that has ended.

The same step of a process gets the same job however often it asks, and requests that may share a job get one job
also when they come at the same time: who looks for a job holds a lock of the spool until it has one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from imgcore import names, request
from imgcore.errors import InputError
from imgcore.job import FINAL, GOOD, Job, Status
from imgcore.lock import Lock
from imgcore.request import Request
from imgcore.spool import Spool

__all__ = ["Admitted", "admit", "digest", "retry"]

_ON_ITS_WAY = (Status.BUILDING, Status.IN_QUEUE)
_TIME_IN_ID = re.compile(r"-\d{8}-\d{6}(-\d+)?$")


@dataclass(frozen=True)
class Admitted:
    """The job of a request; `found`: it was there before, with its image or on its way to it."""

    job: Job
    found: bool = False


def admit(
    spool: Spool,
    wanted: Request,
    *,
    stem: str = "",
    step: str = "",
    workitem: bytes | None = None,
    reuse: bool = False,
    max_age: float | None = None,
) -> Admitted:
    """A job for the request. Raises InputError, SpoolError.

    `stem` is what its id begins with (the image's name). `step` is the step that asks, if one does. With `reuse` an
    equal job is taken that waits, builds, or has built an image not longer than `max_age` days ago. A request with
    the id of a job that has ended is another attempt at that one; with the id of one that has not, it is that job.
    """
    content = wanted.kickstart.encode("utf-8", "surrogateescape")
    job = dataclasses.replace(wanted.job("none"), request_step=step, request_digest=digest(wanted))
    lock = Lock(spool.root / "requests.lock")
    try:
        with lock.held():
            earlier = spool.find("request_step", step)
            if earlier:
                return Admitted(earlier[0])
            if reuse and (equal := _equal(spool, job.request_digest, max_age)):
                return Admitted(equal, found=True)
            before = _known(spool, wanted.image_id)
            if before is not None and before.status not in FINAL:
                return Admitted(before)
            if before is not None:
                job = _attempt_after(before, job)
                stem = stem or _TIME_IN_ID.sub("", before.image_id)
            return Admitted(spool.create_unique(stem or wanted.name, job, kickstart=content, workitem=workitem))
    finally:
        lock.close()


def retry(
    spool: Spool,
    image_id: str,
    *,
    who: str = "",
    kickstart: bytes | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Job:
    """Another attempt at a job that has ended: a new job for the same request.

    What is given is asked for instead: another kickstart, or `changes`, fields of a request with their values.
    Raises InputError, SpoolError.
    """
    before = spool.read(names.image_id(image_id))
    if before.status not in FINAL:
        raise InputError(f"job {image_id} is {before.status}, it has not ended", "cancel it first, or wait")
    fields = request.image_fields(before, spool.kickstart(image_id) if kickstart is None else kickstart)
    wanted = request.parse({**fields, **changes})
    job = dataclasses.replace(wanted.job("none"), request_digest=digest(wanted))
    # The names alone: a token's value can be a secret.
    others = ["kickstart"] if kickstart is not None else []
    others += [name for name in changes if getattr(job, name) != getattr(before, name)]
    return spool.create_unique(
        _TIME_IN_ID.sub("", image_id),
        _attempt_after(before, job),
        kickstart=wanted.kickstart.encode("utf-8", "surrogateescape"),
        reason=f"attempt {before.attempt + 1}, after {image_id}"
        + (f", with another {' and '.join(others)}" if others else ""),
        who=who,
    )


def digest(wanted: Request) -> str:
    """The same for requests that ask for the same image: kickstart, type, architecture and whatever goes into it."""
    told = [
        wanted.kickstart, wanted.arch, wanted.image_type, sorted(wanted.tokenmap.items()), wanted.extra_opts,
        wanted.extra_repos, wanted.packages, wanted.groups, wanted.source_date_epoch,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _known(spool: Spool, image_id: str) -> Job | None:
    """The job of that id; None where there is none here."""
    return spool.read(image_id) if image_id and spool.directory(image_id).is_dir() else None


def _attempt_after(before: Job, job: Job) -> Job:
    return dataclasses.replace(job, retry_of=before.image_id, attempt=before.attempt + 1)


def _equal(spool: Spool, request_digest: str, max_age: float | None) -> Job | None:
    """The newest job for the same image that has it, else the one that will have it first."""
    there = spool.find("request_digest", request_digest)
    young = [job for job in reversed(there) if job.status in GOOD and _young(job, max_age)]
    coming = [job for status in _ON_ITS_WAY for job in there if job.status is status and not spool.lost(job)]
    return next(iter([*young, *coming]), None)


def _young(job: Job, max_age: float | None) -> bool:
    if max_age is None:
        return True
    try:
        return datetime.now(UTC) - datetime.fromisoformat(job.finished_at) <= timedelta(days=max_age)
    except (ValueError, OverflowError):
        return False
