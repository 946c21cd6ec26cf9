# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told of a job that has ended: its record as it is at that transition, without secrets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from imgcore.credentials import MASK, masked, names_secret
from imgcore.errors import InputError
from imgcore.job import FINAL, Event, Job, Status
from imgcore.kickstart.redact import redact
from imgcore.spool import Spool

__all__ = ["of", "transition"]

#: What a repository line has its password in.
_LINES = ("extra_repos", "extra_opts")
_HALF = re.compile("[\ud800-\udfff]")


def transition(spool: Spool, image_id: str) -> int | None:
    """The number of the transition by which the job has ended; None where it has not. Raises as `Spool.read`."""
    ends = [event for event in spool.history(image_id) if _is_end(event)]
    return ends[-1].get("seq") if ends else None


def of(spool: Spool, image_id: str, seq: int) -> dict[str, Any] | None:
    """The record at the transition `seq`; None where that did not come to be, or is no end.

    Raises SpoolError where the record cannot be read.
    """
    try:
        # Held: whoever was about to make the transition has made it, or has died.
        with spool.edit(image_id) as edit:
            event = next((each for each in spool.history(image_id) if each.get("seq") == seq), None)
            return None if event is None or not _is_end(event) else _told(edit.job, event)
    except InputError:
        return None  # it was removed


def _is_end(event: Event) -> bool:
    return event.get("to", "") in [str(each) for each in FINAL] and event.get("from") != event.get("to")


def _told(job: Job, event: Event) -> dict[str, Any]:
    told = {each.name: getattr(job, each.name) for each in dataclasses.fields(job) if each.name != "unknown"}
    told["tokenmap"] = {key: MASK if names_secret(key) else value for key, value in job.tokenmap.items()}
    told.update({name: [redact(each) for each in told[name]] for name in _LINES})
    # It may have been tested since: that is a notice of its own.
    told.update(status=str(Status(event["to"])), event=dict(event))
    cleaned: dict[str, Any] = _clean(told)
    return cleaned


def _clean(value: Any) -> Any:
    """`value` as JSON has it, every text in it without credentials and halves of characters."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", masked(value))
    if isinstance(value, Mapping):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return value
