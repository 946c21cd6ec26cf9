# SPDX-License-Identifier: GPL-2.0-or-later
"""Ending a job that waits or builds, because somebody wants that: first the record says so, then the process hears.

A build that finds its record CANCELLED ends its sandbox at once, and by force where that takes too long
(imgcore.builds.builder); the record keeps who and why.
"""

from __future__ import annotations

import contextlib
import os

from imgcore import names, process
from imgcore.errors import InputError
from imgcore.job import FINAL, Job, Status
from imgcore.spool import Spool

__all__ = ["cancel"]

_LONGEST = 300


def cancel(spool: Spool, image_id: str, who: str = "", reason: str = "") -> Job:
    """Cancel the job; one that is cancelled already stays as it is. Raises InputError where it has ended otherwise.

    Does not wait for a build to end, which takes it some seconds.
    """
    with spool.edit(names.image_id(image_id)) as edit:
        before = edit.job
        if before.status in FINAL - {Status.CANCELLED}:
            raise InputError(f"job {image_id} is {before.status} already", "what has ended cannot be cancelled")
        if before.status is not Status.CANCELLED:
            text = _sentence(_clean(who), _clean(reason))
            edit.move(Status.CANCELLED, text, _clean(who), error=text, error_cause="cancelled")
        # Not one that was told of by another spool: here nobody holds the job. Nor this one, which looks itself.
        if spool.alive(image_id) and before.worker.get("pid") != os.getpid():
            # A process of another user looks at its record, and ends a moment later.
            with contextlib.suppress(PermissionError):
                process.end(before.worker)
        return edit.job


def _sentence(who: str, reason: str) -> str:
    return "the job was cancelled" + (f" by {who}" if who else "") + (f": {reason}" if reason else "")


def _clean(text: str) -> str:
    return "".join(each for each in " ".join(str(text).split()) if each.isprintable())[:_LONGEST]
