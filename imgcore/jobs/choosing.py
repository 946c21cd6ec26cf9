# SPDX-License-Identifier: GPL-2.0-or-later
"""How people name a job: its id, the beginning of it that no other has, or `NAME@latest`, `@good`, `@failed`.

An id that is there always means itself, also where it is the beginning of others or looks like the rest.
"""

from __future__ import annotations

from imgcore import names
from imgcore.errors import InputError
from imgcore.job import GOOD, Status
from imgcore.spool import Spool

__all__ = ["SUFFIXES", "find", "one"]

#: What can stand behind `NAME@`: the newest request of that name in one of these states.
SUFFIXES = {
    "latest": tuple(Status),
    "good": tuple(GOOD),
    "failed": (Status.ERROR,),
}
_SHOWN = 3


def one(spool: Spool, given: str) -> str:
    """The id of the job that `given` names. Raises InputError where there is none, or more than one."""
    found = find(spool, given)
    if found is None:
        raise InputError(f"there is no job {names.shown(given)} in {spool.root}", "`img jobs` shows those that are")
    return found


def find(spool: Spool, given: str) -> str | None:
    """As `one`, and None where there is none."""
    word = names.image_id(given)
    if spool.directory(word).is_dir():
        return word
    name, at, suffix = word.rpartition("@")
    if at and suffix in SUFFIXES:
        found = spool.newest(*SUFFIXES[suffix], names=(name,))
        return next((job.image_id for job in found if job.name == name), None)
    beginning = [each for each in spool.ids() if each.startswith(word)]
    if len(beginning) > 1:
        several = ", ".join(beginning[-_SHOWN:]) + (" and more" if len(beginning) > _SHOWN else "")
        raise InputError(
            f"{word} is the beginning of {len(beginning)} jobs: {several}", "give more of it, or NAME@latest"
        )
    return beginning[0] if beginning else None
