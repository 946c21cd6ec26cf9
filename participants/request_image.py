# SPDX-License-Identifier: GPL-2.0-or-later
"""request_image: records a job for an image that somebody wants, or finds one that does.

The same step, given again, gets the same job. A request with the id of a job that has ended is another attempt at it.
"""

from __future__ import annotations

import logging
from typing import Any

from imgcore import config, names, request
from imgcore.declaration import Declaration, Field
from imgcore.errors import InputError
from imgcore.jobs import admission, telling
from imgcore.spool import Spool
from RuoteAMQP import Workitem

__all__ = ["DECLARES", "ParticipantHandler"]

DECLARES = Declaration(
    "request_image",
    reads=(
        Field("image.kickstart", str, "the text of the kickstart", mandatory=True),
        Field("image.name", str, "what the image is called", mandatory=True),
        Field("image.arch", str, "what it is built for", mandatory=True),
        Field("image.image_type", str, "`fs`, `loop`, `raw`, `livecd` or `liveusb`", mandatory=True),
        Field("ev.id", "text or number", "what the job's id begins with; the image's name if unset"),
        Field("image.image_id", str, "a job: one that has ended is tried again, another is the one that is meant"),
        Field("image.prefix", str, "where below `base_dir` the image goes; made of `queue` and `user` if unset"),
        Field("image.queue, user", str, "the queue of requests that it came by, and who asks"),
        Field("image.tokenmap", "text or object", "what stands for each `@TOKEN@`: `K:V,K:V`"),
        Field("image.extra_opts, extra_repos, packages, groups", "lists of texts", "what is added to the kickstart"),
        Field("image.timeout", float, "seconds after which the build is given up; as configured if unset"),
        Field("image.emails, devicegroup, release, tags", "lists and texts", "kept in the record, for people"),
        Field("image.priority", str, "`high`: before others; so does `priority` beside `image`"),
    ),
    params=(
        Field("action", str, "`get_or_create`: an equal job is taken if there is one"),
        Field("max_age", "number or text", "with it: how many days ago its image may have been made"),
    ),
    writes=(
        Field("image.image_id", str, "the job: `<ev.id>-<YYYYmmdd-HHMMSS>`, and a number if that is taken"),
        Field("image.prefix", str, "where below `base_dir` the image goes"),
        Field("image.found", bool, "whether an equal job was there; with `get_or_create`"),
        Field("image.status", str, "the state of the job that was there"),
        Field("image.image_url, files_url, logfile_url", str, "where the image is, if it is there"),
        Field("msg", list, "a line more, where no job was recorded or one is tried again"),
    ),
)
_URLS = ("image_url", "files_url", "logfile_url")


class ParticipantHandler:
    """The participant."""

    #: For the host: a step must be begun by one worker only.
    once = True

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("request_image")
        self.config: config.Config | None = None

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start."""
        if ctrl.message == "start":
            self.config = config.load()

    def handle_wi_control(self, ctrl: Any) -> None:
        """Nothing here takes long enough to be cancelled."""

    def handle_wi(self, wid: Workitem) -> None:
        """Record the job. Raises InputError for what cannot be built, SpoolError where nothing can be written."""
        settings = self.config or config.load()
        received = wid.encode()
        fields = wid.fields.as_dict()
        image = request.image_of(fields)
        params = wid.params.as_dict()
        reuse = _reuse(params.get("action"))
        max_age = _days(params.get("max_age"))
        if not image.get("prefix") and image.get("queue"):
            image["prefix"] = f"{image['queue']}/{image['user']}" if image.get("user") else image["queue"]
        wanted = request.parse({"priority": fields.get("priority"), **image})
        event = fields.get("ev")
        admitted = admission.admit(
            Spool(settings.spool),
            wanted,
            stem=str(event["id"]) if isinstance(event, dict) and event.get("id") else "",
            step=wid.step,
            workitem=received,
            reuse=reuse,
            max_age=max_age,
        )
        job = admitted.job
        image["image_id"] = job.image_id
        image["prefix"] = job.prefix
        if reuse:
            image["found"] = admitted.found
        if not admitted.found:
            # What an earlier attempt left is not this one's.
            for name in ("status", "result", *telling.ALL):
                image.pop(name, None)
        if admitted.found:
            image["status"] = str(job.status)
            image.update({name: getattr(job, name) for name in _URLS})
            request.say(fields, f"{job.image_id} is taken, which is {job.status}")
        elif job.retry_of:
            request.say(fields, f"{job.image_id} is attempt {job.attempt}, after {job.retry_of}")
        wid.result = True


def _reuse(action: Any) -> bool:
    if action not in (None, "", "create", "get_or_create"):
        raise InputError(f"param action: {names.shown(action)} is not known", "get_or_create, or leave it out")
    return bool(action == "get_or_create")


def _days(value: Any) -> float | None:
    """`max_age` as a number; attributes of a process are often texts."""
    if value in (None, ""):
        return None
    try:
        days = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except ValueError:
        days = -1.0
    if not 0 <= days < 10**6:
        raise InputError(f"param max_age: {names.shown(value)} is not a number of days", "for example 7")
    return days
