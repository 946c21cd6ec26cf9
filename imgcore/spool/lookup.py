# SPDX-License-Identifier: GPL-2.0-or-later
"""Which jobs have a value in a field, as empty files `by/HE/HASH,ID`: an index, never asked for truth.

Made before the record that has the value; a crash, or a value that changed, leaves one too many. All of it can be
deleted and is made again from the records.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from imgcore import atomic
from imgcore.job import Job

__all__ = ["FIELDS", "Lookup"]

#: The fields by which jobs can be found.
FIELDS = ("name", "request_digest", "request_step", "step")
#: As much of a SHA-256 as a name has room for beside an id of 150 characters.
_HASH_LENGTH = 40


class Lookup:
    """The entries below the directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add_job(self, job: Job) -> None:
        """Make the entries of a job. Raises SpoolError."""
        for field in FIELDS:
            self.add(field, getattr(job, field), job.image_id)

    def remove_job(self, job: Job) -> None:
        """Remove the entries of a job; those that stay for now are only some too many."""
        for field in FIELDS:
            place, name = self._place(field, getattr(job, field))
            with contextlib.suppress(OSError):
                (place / f"{name},{job.image_id}").unlink()

    def add(self, field: str, value: str, image_id: str) -> None:
        """Have the job found by this value of `field` ("" is none). Raises SpoolError."""
        if not value:
            return
        place, name = self._place(field, value)
        path = place / f"{name},{image_id}"
        try:
            place.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise atomic.failed(path, error) from error

    def lacks(self, job: Job) -> list[Path]:
        """The entries that the job should have and has not."""
        found = []
        for field in FIELDS:
            if value := getattr(job, field):
                place, name = self._place(field, value)
                if not os.path.lexists(path := place / f"{name},{job.image_id}"):
                    found.append(path)
        return found

    def ids(self, field: str, value: str) -> list[str]:
        """The ids of the jobs that may have this value. Raises SpoolError."""
        place, name = self._place(field, value)
        try:
            with os.scandir(place) as listing:
                return sorted(entry.name[len(name) + 1 :] for entry in listing if entry.name.startswith(name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise atomic.failed(place, error, "read") from error

    def _place(self, field: str, value: str) -> tuple[Path, str]:
        name = hashlib.sha256(f"{field}={value}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
        return self.root / name[:2], name
