"""update_image_status: records how far a job is, as others tell it.

Reads `image.image_id`, the parameter `status` (`BUILDING`, `DONE`, `ERROR`, `CANCELLED`, `DONE, TESTED`),
`image.logfile_url, files_url, image_url, error` and `__error__`; writes the job's record, and `msg`.
A message that is late, repeated or refused by the table of states changes nothing and says so; `result` is
False where the job is unknown or the change was refused.
"""

from __future__ import annotations

import logging
from typing import Any

from imgcore import config, names, request
from imgcore.errors import InputError
from imgcore.job import Job, Status, allowed
from imgcore.record import Edit
from imgcore.spool import Spool
from RuoteAMQP import Workitem

__all__ = ["ParticipantHandler"]

_TAKEN = ("files_url", "image_url", "logfile_url")
_LONGEST = 500


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
        try:
            with spool.edit(image_id) as edit:
                wid.result, told = _apply(edit, status, _changes(fields, image, status))
        except InputError as error:
            # The job is unknown here: the process shall hear of it and go on as it likes.
            wid.result, told = False, str(error)
        self.log.info("%s", told)
        messages = fields.setdefault("msg", [])
        if isinstance(messages, list):
            messages.append(told)


def _status(value: Any) -> Status:
    try:
        return Status(value)
    except ValueError:
        known = "; ".join(each.value for each in Status)
        raise InputError(f"param status: {names.shown(value)} is not a state of a job", f"one of: {known}") from None


def _apply(edit: Edit, status: Status, changes: dict[str, Any]) -> tuple[bool, str]:
    """Whether the job is in that state now, and what to say of it."""
    job = edit.job
    if job.status is status:
        return True, f"{job.image_id} is {status} already"
    if job.status is Status.IN_QUEUE and allowed(Status.BUILDING, status):
        # The message that the build began is late, or lost.
        edit.move(Status.BUILDING, "told out of order")
    if not allowed(edit.job.status, status):
        return False, f"{job.image_id} stays {job.status}: it cannot become {status}"
    edit.move(status, _reason(job, changes), **changes)
    return True, f"{job.image_id}: {job.status} → {status}"


def _reason(job: Job, changes: dict[str, Any]) -> str:
    return str(changes.get("error") or "told by a message")


def _changes(fields: dict[str, Any], image: dict[str, Any], status: Status) -> dict[str, Any]:
    changes = {name: image[name] for name in _TAKEN if isinstance(image.get(name), str) and image[name]}
    if status is Status.ERROR:
        error = fields.get("__error__")
        text = error.get("message") if isinstance(error, dict) else error
        told = " ".join(str(image.get("error") or text or "the process told no reason").split())
        changes |= {"error": told[:_LONGEST], "error_cause": str(image.get("error_cause") or "internal")}
    return changes
