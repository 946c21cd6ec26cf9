# SPDX-License-Identifier: GPL-2.0-or-later
"""update_image_status: records how far a job is, as others tell it.

A message that is late, repeated or refused by the table of states changes nothing that is final and says so; the
same message twice is as once. `result` is False where the job is unknown or the change was refused.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from imgcore import config, names, request
from imgcore.buildlog import without_credentials
from imgcore.declaration import Declaration, Field
from imgcore.errors import InputError, SpoolError
from imgcore.job import Job, Status, allowed
from imgcore.jobs import telling
from imgcore.spool import Spool
from imgcore.spool.record import DamagedRecord, Edit
from RuoteAMQP import Workitem

__all__ = ["DECLARES", "ParticipantHandler"]

DECLARES = Declaration(
    "update_image_status",
    reads=(
        Field("image.image_id", str, "the job", mandatory=True),
        Field("image.files_url, image_url, logfile_url", str, "where the results are: http, https, ftp or file"),
        Field("image.error, error_cause, error_remedy", str, "why there is none"),
        Field("image.phase, progress, progress_detail", "text, number, text", "how far it is, with `BUILDING`"),
        Field(
            "image.artifacts, resources, usage, phases, package_count, warnings",
            "as in the record",
            "what the build made, used and found; what is not as the record has it is left out and named in `msg`",
        ),
        Field("image.worker, step, directory, tool, executor", "as in the record", "who builds it, where, with what"),
        Field("image.started_at, finished_at", "time", "when; without them, the time of the message"),
        Field("image.test_result", "any", "what a test found, with `DONE, TESTED`: goes to the history"),
        Field("__error__", "text or object", "the engine's error, where `image.error` has none"),
    ),
    params=(Field("status", str, "`BUILDING`, `DONE`, `ERROR`, `CANCELLED` or `DONE, TESTED`", mandatory=True),),
    writes=(
        Field("msg", list, "a line more: what was recorded, or why nothing was"),
        Field("__result__", bool, "whether the job is in that state now"),
    ),
)
_LONGEST = 500
#: Between two attempts to write what nobody says a second time.
_RETRY_SECONDS = 5.0


class ParticipantHandler:
    """The participant."""

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("update_image_status")
        self.config: config.Config | None = None

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start."""
        if ctrl.message == "start":
            self.config = config.load()

    def handle_wi_control(self, ctrl: Any) -> None:
        """Nothing here takes long enough to be cancelled."""

    def handle_wi(self, wid: Workitem) -> None:
        """Record the status. Raises InputError where the message is of no use, SpoolError."""
        settings = self.config or config.load()
        fields = wid.fields.as_dict()
        image = request.image_of(fields)
        status = _status(wid.params.as_dict().get("status"))
        image_id = names.image_id(image.get("image_id"))
        spool = Spool(settings.spool)
        while True:
            try:
                with spool.edit(image_id) as edit:
                    wid.result, told = _apply(spool, edit, status, fields, image)
                break
            except InputError as error:
                # The job is unknown here: the process shall hear of it and go on as it likes.
                wid.result, told = False, [str(error)]
                break
            except SpoolError as error:
                # Nobody hears of an error where no answer is wanted: on a disk that is full, it is written later.
                if isinstance(error, DamagedRecord) or not wid.forget:
                    raise
                self.log.warning("%s is %s, which cannot be recorded now: %s", image_id, status, error)
                time.sleep(_RETRY_SECONDS)
        for line in told:
            self.log.info("%s", line)
        request.say(fields, *told)


def _status(value: Any) -> Status:
    try:
        return Status(value)
    except ValueError:
        known = "; ".join(each.value for each in Status)
        raise InputError(f"param status: {names.shown(value)} is not a state of a job", f"one of: {known}") from None


def _apply(
    spool: Spool, edit: Edit, status: Status, fields: dict[str, Any], image: dict[str, Any]
) -> tuple[bool, list[str]]:
    """Whether the job is in that state now, and what to say of it."""
    job = edit.job
    if job.status is status and status is not Status.BUILDING:
        return True, [f"{job.image_id} is {status} already"]
    if spool.alive(job.image_id):
        # Its own worker writes this very record, sooner and better than any message.
        return job.status is status, [f"{job.image_id} is {job.status} here: its worker says how it goes on"]
    if job.status is Status.IN_QUEUE and not allowed(job.status, status) and allowed(Status.BUILDING, status):
        # The message that the build began is late, or lost.
        edit.move(Status.BUILDING, "told out of order", **_changes(job, Status.BUILDING, {}, image)[0])
    if job.status is not status and not allowed(edit.job.status, status):
        return False, [_refusal(job, status)]
    if job.status is Status.IN_QUEUE and status is Status.BUILDING and _is_over(spool, job, image.get("started_at")):
        return False, [f"{job.image_id} stays {job.status}: the build that began {image['started_at']} is over"]
    changes, left_out = _changes(job, status, fields, image)
    if job.status is not status:
        edit.move(status, _reason(status, changes, image), **changes)
        return True, [f"{job.image_id}: {job.status} → {status}", *left_out]
    news = {name: value for name, value in changes.items() if value != getattr(job, name)}
    if not news:
        return True, [f"{job.image_id} is {status} already", *left_out]
    edit.update(**news)
    return True, [f"{job.image_id}: {_where(edit.job)}", *left_out]


def _is_over(spool: Spool, job: Job, started_at: Any) -> bool:
    """Whether the build that began then was put back into the queue here since: the message that it began is late."""
    if not isinstance(started_at, str):
        return False
    back = [each for each in spool.history(job.image_id) if each.get("from") == str(Status.BUILDING)]
    return bool(back) and started_at <= str(back[-1].get("time", ""))


def _refusal(job: Job, status: Status) -> str:
    why = f" ({job.error})" if job.status is Status.CANCELLED and job.error else ""
    return f"{job.image_id} stays {job.status}{why}: it cannot become {status}"


def _where(job: Job) -> str:
    return f"{job.status}, {job.phase} {job.progress:.0%}" if job.phase else str(job.status)


def _reason(status: Status, changes: dict[str, Any], image: dict[str, Any]) -> str:
    if status is Status.TESTED and image.get("test_result") is not None:
        return f"test result: {_line(image['test_result'])}"
    return str(changes.get("error") or "told by a message")


def _changes(
    job: Job, status: Status, fields: dict[str, Any], image: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    changes, left_out = telling.taken(job, status, image)
    worker = changes.get("worker", job.worker)
    if status is Status.BUILDING and not worker.get("host"):
        # Whoever builds it is not of this spool: nobody here may take its silence for its death.
        changes["worker"] = {**worker, "host": "unknown"}
    if status is Status.ERROR and "error" not in changes:
        error = fields.get("__error__")
        text = error.get("message") if isinstance(error, dict) else error
        changes["error"] = without_credentials(_line(text or "the process told no reason"))
    if status is Status.ERROR:
        changes.setdefault("error_cause", "internal")
    return changes, left_out


def _line(value: Any) -> str:
    return " ".join(str(value).split())[:_LONGEST]
