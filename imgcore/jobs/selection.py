# SPDX-License-Identifier: GPL-2.0-or-later
"""Which jobs are meant: by state, by what was asked for, by words in them, by age. Reads the newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from imgcore.job import Job, Status
from imgcore.spool import DamagedRecord, Spool

__all__ = ["STATES", "Selection"]

#: The words for states that are typed and shown.
STATES = {
    "queued": Status.IN_QUEUE,
    "building": Status.BUILDING,
    "done": Status.DONE,
    "tested": Status.TESTED,
    "failed": Status.ERROR,
    "cancelled": Status.CANCELLED,
}
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class Selection:
    """What a job must have: of each field that is given one of the values (shell patterns), all tags, the text."""

    states: tuple[Status, ...] = ()
    names: tuple[str, ...] = ()
    archs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: Somewhere in the id, the request or the error, in upper or lower case.
    text: str = ""
    since: datetime | None = None
    pinned: bool = False

    def of(self, spool: Spool, on_damage: Callable[[DamagedRecord], None] | None = None) -> Iterator[Job]:
        """The jobs of `spool` that are meant, the newest request first; damaged records are told to `on_damage`."""
        plain = () if any(_PATTERN & set(each) for each in self.names) else self.names
        found = spool.newest(*self.states, since=self.since, names=plain, on_damage=on_damage)
        return (job for job in found if self.fits(job))

    def fits(self, job: Job) -> bool:
        """Whether the job has all of it but the time."""
        return (
            (not self.states or job.status in self.states)
            and _one_of(job.name, self.names)
            and _one_of(job.arch, self.archs)
            and _one_of(job.image_type, self.types)
            and _one_of(job.user, self.users)
            and all(any(fnmatchcase(tag, each) for tag in job.tags) for each in self.tags)
            and (not self.pinned or job.pinned)
            and (not self.text or self.text.casefold() in _words(job).casefold())
        )


def _one_of(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, each) for each in patterns)


def _words(job: Job) -> str:
    tokens = (f"{key}:{value}" for key, value in job.tokenmap.items())
    return "\n".join(
        (job.image_id, job.name, job.arch, job.image_type, job.prefix, job.user, job.error, job.error_cause,
         job.worker.get("name", ""), job.worker.get("host", ""), *job.tags, *job.packages, *job.groups,
         *job.extra_repos, *job.extra_opts, *tokens, *job.warnings)
    )  # fmt: skip
