# SPDX-License-Identifier: GPL-2.0-or-later
"""What one spool tells another of a job: the fields of its record that a message carries, and taking them from one.

Everything taken is checked as if it came from anywhere, a field at a time: one that is wrong is left out and named,
the others count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from imgcore import job as jobs
from imgcore import names
from imgcore.buildlog import without_credentials
from imgcore.errors import InputError
from imgcore.job import FINAL, Job, Status

__all__ = ["ALL", "PROGRESS", "fields", "taken"]

#: How far a build is.
PROGRESS = ("phase", "progress", "progress_detail")
#: With the step that builds it, which is another spool's sign that the job will be looked after.
_WHO = ("step", "worker", "tool", "executor", "started_at")
_RESULT = (
    "files_url", "image_url", "logfile_url", "error", "error_cause", "error_remedy", "warnings", "artifacts",
    "package_count", "resources", "usage", "phases", "directory", "source_date_epoch", "finished_at",
)  # fmt: skip
#: Everything that is told of a job.
ALL = (*_WHO, *PROGRESS, *_RESULT)
_URLS = frozenset(("files_url", "image_url", "logfile_url"))
#: Far more than a record of ours has.
_LONGEST_TEXT = 2000
_LONGEST_LIST = 1000


def fields(job: Job) -> dict[str, Any]:
    """What is told of the job in the state in which it is, for a message's `image`: values that JSON has."""
    told = (*_WHO, *PROGRESS) if job.status is Status.BUILDING else (*_WHO, *_RESULT)
    values = {name: getattr(job, name) for name in told}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def taken(job: Job, status: Status, image: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What `image` tells of the job in that state, for its record, and a sentence for each field that was refused."""
    told = (*_WHO, *PROGRESS) if status is Status.BUILDING else (*_WHO, *_RESULT) if status in FINAL else ()
    changes: dict[str, Any] = {}
    refused = []
    for name in told:
        value = image.get(name)
        if value in (None, "", [], {}) or (name == "progress" and "phase" not in image):
            continue
        try:
            changes[name] = _checked(job, name, value)
            jobs.amend(job, {name: changes[name]})
            json.dumps(changes[name], allow_nan=False)  # what a record does not know is not checked, but written
        except (TypeError, ValueError, InputError) as error:
            changes.pop(name, None)
            refused.append(f"{name} is left out: {_reason(error)}")
    return changes, refused


def _checked(job: Job, name: str, value: Any) -> Any:
    """The value as far as its kind does not tell. Raises InputError, ValueError."""
    if name in _URLS:
        return names.repository_url(value)
    if name == "directory":
        return _directory(job, value)
    if name == "artifacts":
        return [_artifact(each) for each in _short(value)]
    if isinstance(value, list):
        return [_text(each) for each in _short(value)]
    if isinstance(value, Mapping) and any(_text(each) != each for each in value.values()):
        raise ValueError("it has texts that are too long, or of several lines")
    return _text(value)


def _text(value: Any) -> Any:
    """A text as one line of a sensible length, without passwords; another value as it is."""
    return without_credentials(" ".join(value.split()))[:_LONGEST_TEXT] if isinstance(value, str) else value


def _short(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _LONGEST_LIST:
        raise ValueError(f"it is no list of up to {_LONGEST_LIST}")
    return value


def _directory(job: Job, value: Any) -> str:
    """Where a job publishes: nothing else that a path could mean."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    path = PurePosixPath(value)
    own = PurePosixPath(job.prefix, job.image_id)
    if not path.is_absolute() or ".." in path.parts or path.parts[-len(own.parts) :] != own.parts:
        raise ValueError(f"it is no directory of {own}")
    if not str(path).isprintable() or len(str(path)) > _LONGEST_TEXT:
        raise ValueError("it is no path that can be shown")
    return str(path)


def _artifact(value: Any) -> Any:
    name = value.get("name") if isinstance(value, Mapping) else None
    if isinstance(name, str) and (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts):
        raise ValueError(f"{names.shown(name)} is no file of the job")
    return value


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, InputError) else str(error)
