# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a job: its fields, its states, and its form as JSON. Knows no files.

A `Job` is frozen; `from_json` and `amend` (by which every record is read and written) check each value they
take in, with an error that names the field. Fields that this version does not know survive, at the top
(`unknown`) and inside nested objects, so that older and newer versions can share a spool. job.schema.json
describes the same for others. A leaf: standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources as package_files
from typing import Any, TypedDict

__all__ = [
    "FINAL",
    "GOOD",
    "SCHEMA",
    "TRANSITIONS",
    "Artifact",
    "Event",
    "Job",
    "PhaseTime",
    "Resources",
    "Status",
    "Worker",
    "allowed",
    "amend",
    "from_json",
    "schema",
    "timestamp",
    "to_json",
]

#: The version of the record that this code writes.
SCHEMA = 1


class Status(StrEnum):
    """The states of a job. The value is what stands in the record and on pages."""

    IN_QUEUE = "IN QUEUE"
    BUILDING = "BUILDING"
    DONE = "DONE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"
    TESTED = "DONE, TESTED"


#: From where to where a job can go. Back to the queue goes only what a worker that died has left.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.IN_QUEUE: frozenset({Status.BUILDING, Status.CANCELLED, Status.ERROR}),
    Status.BUILDING: frozenset({Status.DONE, Status.ERROR, Status.CANCELLED, Status.IN_QUEUE}),
    Status.DONE: frozenset({Status.TESTED}),
    Status.ERROR: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.TESTED: frozenset(),
}

#: The states in which nothing more is built.
FINAL = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED, Status.TESTED})
#: Those of them in which the image is there.
GOOD = frozenset({Status.DONE, Status.TESTED})


def allowed(before: Status, after: Status) -> bool:
    """Whether the table has this transition."""
    return after in TRANSITIONS[before]


class Artifact(TypedDict):
    """A file that the job published."""

    name: str
    kind: str
    size: int
    sha256: str


class PhaseTime(TypedDict):
    """How long a phase of the build took."""

    phase: str
    seconds: float


class Resources(TypedDict, total=False):
    """What the whole build used: totals of time, peaks of the rest."""

    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int
    peak_disk_bytes: int
    peak_processes: int


class Usage(TypedDict, total=False):
    """The same over time, a list a quantity, as long as each other (imgcore.usage); `seconds` since the start."""

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    memory_bytes: tuple[float, ...]
    disk_bytes: tuple[float, ...]


class Worker(TypedDict, total=False):
    """The process that builds the job; `start_ticks` and `boot_id` tell it from a later one of the same number."""

    name: str
    host: str
    pid: int
    start_ticks: int
    boot_id: str


# `from` is a word of Python: the functional form.
Event = TypedDict(
    "Event",
    {"time": str, "host": str, "pid": int, "from": str, "to": str, "reason": str, "who": str, "seq": int},
    total=False,
)
Event.__doc__ = "One transition, or a note (`from` is `to`), as a line of events.jsonl; `seq` counts a job's from 1."


@dataclass(frozen=True)
class Job:
    """One job as its record has it. The names are the workitem's; times are RFC 3339 UTC, "" means not yet."""

    image_id: str
    name: str
    arch: str
    image_type: str
    schema: int = SCHEMA
    #: Counts the versions of the record.
    revision: int = 0
    prefix: str = "requests"
    tokenmap: Mapping[str, str] = field(default_factory=dict)
    extra_repos: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    extra_opts: tuple[str, ...] = ()
    status: Status = Status.IN_QUEUE
    user: str = ""
    tags: tuple[str, ...] = ()
    #: Somebody wants it to stay: it is never removed to make room.
    pinned: bool = False
    #: Whom to tell, for what device and release, by which queue of requests: kept as they were asked.
    emails: tuple[str, ...] = ()
    devicegroup: str = ""
    release: str = ""
    queue: str = ""
    #: `high`, or "".
    priority: str = ""
    #: The ended job that this one tries again, and which attempt it is.
    retry_of: str = ""
    attempt: int = 1
    #: The steps of processes (`wfid!subid!expid`) that asked for the job and that build it.
    request_step: str = ""
    step: str = ""
    #: What two requests for the same image have in common (imgcore.jobs.admission).
    request_digest: str = ""
    #: Seconds that the build may take; 0: the configuration's.
    timeout: float = 0.0
    tool: str = ""
    executor: str = ""
    requested_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    updated_at: str = ""
    phase: str = ""
    #: How far the phase is, between 0 and 1.
    progress: float = 0.0
    progress_detail: str = ""
    phases: tuple[PhaseTime, ...] = ()
    files_url: str = ""
    image_url: str = ""
    logfile_url: str = ""
    error: str = ""
    error_cause: str = ""
    error_remedy: str = ""
    warnings: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    package_count: int = 0
    resources: Resources = field(default_factory=lambda: Resources())
    usage: Usage = field(default_factory=lambda: Usage())
    worker: Worker = field(default_factory=lambda: Worker())
    #: Absolute path of the published files.
    directory: str = ""
    source_date_epoch: int = 0
    #: The last transition or note: what the history must end with.
    event: Event = field(default_factory=lambda: Event())
    #: Fields of other versions.
    unknown: Mapping[str, Any] = field(default_factory=dict)


#: Far more than a build has samples.
_MOST_NUMBERS = 1000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def timestamp(when: datetime | None = None) -> str:
    """`when` (now) as the record writes it: RFC 3339, UTC, with microseconds."""
    moment = datetime.now(UTC) if when is None else when.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _time(value: object) -> str:
    text = _text(value)
    if text and _TIME.fullmatch(text) is None:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return text


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number from 0 up")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _attempt(value: object) -> int:
    number = _count(value)
    if not number:
        raise ValueError("must be a whole number from 1 up")
    return number


def _priority(value: object) -> str:
    text = _text(value)
    if text not in ("", "high"):
        raise ValueError("must be 'high' or empty")
    return text


def _pid(value: object) -> int:
    number = _count(value)
    if number >= 1 << 31:
        raise ValueError("must be the number of a process")
    return number


def _number(value: object) -> float:
    # Compared, not converted: whole numbers can be larger than any float.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= sys.float_info.max:
        raise ValueError("must be a number from 0 up")
    return float(value)


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_NUMBERS:
        raise ValueError(f"must be a list of at most {_MOST_NUMBERS} numbers")
    return tuple(map(_number, value))


def _fraction(value: object) -> float:
    number = _number(value)
    if number > 1:
        raise ValueError("must be a number between 0 and 1")
    return number


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def _text_map(value: object) -> Mapping[str, str]:
    mapping = _mapping(value)
    if not all(isinstance(each, str) for each in mapping.values()):
        raise ValueError("must be an object of texts")
    return mapping


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be an object")
    return dict(value)


def _status(value: object) -> Status:
    try:
        return Status(_text(value))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(map(repr, map(str, Status)))}") from None


def _object(**kinds: Callable[[object], object]) -> Callable[[object], Mapping[str, Any]]:
    def check(value: object) -> Mapping[str, Any]:
        mapping = _mapping(value)
        for key, content in mapping.items():
            kind = kinds.get(key)
            if kind is not None:
                try:
                    kind(content)
                except ValueError as error:
                    raise ValueError(f"{key} {error}") from None
        return mapping

    return check


def _objects(
    required: tuple[str, ...], check: Callable[[object], Mapping[str, Any]]
) -> Callable[[object], tuple[Mapping[str, Any], ...]]:
    def check_all(value: object) -> tuple[Mapping[str, Any], ...]:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of objects")
        checked = tuple(check(each) for each in value)
        for each in checked:
            missing = [key for key in required if key not in each]
            if missing:
                raise ValueError(f"must have {missing[0]} in every object")
        return checked

    return check_all


_CHECKS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(
        ("image_id", "name", "arch", "image_type", "prefix", "user", "tool", "executor", "phase", "progress_detail",
         "files_url", "image_url", "logfile_url", "error", "error_cause", "error_remedy", "directory",
         "devicegroup", "release", "queue", "retry_of", "request_step", "step", "request_digest"),
        _text,
    ),
    **dict.fromkeys(("requested_at", "started_at", "finished_at", "updated_at"), _time),
    **dict.fromkeys(("schema", "revision", "package_count", "source_date_epoch"), _count),
    **dict.fromkeys(("extra_repos", "packages", "groups", "extra_opts", "tags", "emails", "warnings"), _texts),
    "status": _status,
    "tokenmap": _text_map,
    "pinned": _flag,
    "timeout": _number,
    "attempt": _attempt,
    "priority": _priority,
    "progress": _fraction,
    "phases": _objects(("phase", "seconds"), _object(phase=_text, seconds=_number)),
    "artifacts": _objects(
        ("name", "kind", "size", "sha256"), _object(name=_text, kind=_text, size=_count, sha256=_text)
    ),
    "resources": _object(
        cpu_seconds=_number, wall_seconds=_number,
        peak_memory_bytes=_count, peak_disk_bytes=_count, peak_processes=_count,
    ),
    "usage": _object(seconds=_numbers, cpu_seconds=_numbers, memory_bytes=_numbers, disk_bytes=_numbers),
    "worker": _object(name=_text, host=_text, pid=_pid, start_ticks=_count, boot_id=_text),
    "event": _object(
        **{"time": _time, "host": _text, "pid": _pid, "from": _text, "to": _text, "reason": _text, "who": _text,
           "seq": _count}
    ),
}  # fmt: skip
_FIELDS = tuple(each.name for each in dataclasses.fields(Job) if each.name != "unknown")
#: Where a job keeps its lines of JSON, beside its fields, once they were asked for.
_RENDERED = "_rendered"
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_REQUIRED = ("image_id", "name", "arch", "image_type", "status")


def _checked(values: Mapping[str, object]) -> dict[str, Any]:
    result = {}
    for key, value in values.items():
        try:
            result[key] = _CHECKS[key](value)
        except ValueError as error:
            raise ValueError(f"field {key} {error}") from None
    return result


def amend(job: Job, changes: Mapping[str, object]) -> Job:
    """`job` with `changes`. Raises ValueError that names a field whose value is not of its kind, or no field."""
    strange = [key for key in changes if key not in _CHECKS]
    if strange:
        raise ValueError(f"a job has no field {strange[0]}")
    # Not dataclasses.replace: it asks every field what they are, each time that the progress moves.
    amended = object.__new__(Job)
    amended.__dict__.update(job.__dict__)
    checked = _checked(changes)
    amended.__dict__.update(checked)
    rendered = job.__dict__.get(_RENDERED)
    if rendered is not None:
        # What did not change is not rendered again: most of what a progress update would cost.
        amended.__dict__[_RENDERED] = {**rendered, **{name: _line(name, checked[name]) for name in checked}}
    return amended


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def from_json(content: bytes) -> Job:
    """The job that a record tells. Raises ValueError that says in one line what is wrong with it."""
    try:
        told = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {' '.join(str(error).split())}") from None
    if not isinstance(told, dict):
        raise ValueError("it is not a JSON object")
    missing = [key for key in _REQUIRED if key not in told]
    if missing:
        raise ValueError(f"field {missing[0]} is missing")
    known = _checked({key: value for key, value in told.items() if key in _CHECKS})
    return Job(**known, unknown={key: value for key, value in told.items() if key not in _CHECKS})


def to_json(job: Job) -> bytes:
    """The record: UTF-8, a field a line in a fixed order, the fields of other versions last."""
    rendered = job.__dict__.get(_RENDERED)
    if rendered is None:
        rendered = {name: _line(name, job.__dict__[name]) for name in _FIELDS}
        job.__dict__[_RENDERED] = rendered
    lines = [*rendered.values(), *(_line(key, job.unknown[key]) for key in sorted(job.unknown))]
    # A lone surrogate (from a file name that is not UTF-8) is escaped as \udcXX: just what JSON has for it.
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def _line(name: str, value: object) -> str:
    return f"  {_encode(name)}: {_encode(value)}"


def schema() -> dict[str, Any]:
    """The JSON Schema of the record, as it ships."""
    content = (package_files.files("imgcore") / "job.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(content)
    return loaded
