# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the log of a job is: beside its record, or with the files that it published."""

from __future__ import annotations

import os
from pathlib import Path

from imgcore import process
from imgcore.job import Job
from imgcore.spool import Spool

__all__ = ["elsewhere", "path_of"]


def path_of(spool: Spool, job: Job) -> Path:
    """The log beside the record; where there is none, the published one, if this machine has it."""
    path = spool.log(job.image_id)
    name = job.logfile_url.rpartition("/")[2]
    if not path.exists() and name and job.directory.startswith("/"):
        published = Path(job.directory) / name
        if os.path.isfile(published):  # noqa: PTH113 - never raises
            return published
    return path


def elsewhere(job: Job) -> str:
    """Where the log of a job is that this machine has no log of; empty where there is none (yet)."""
    return job.logfile_url or ("" if process.is_here(job.worker) else f"on {job.worker['host']}")
