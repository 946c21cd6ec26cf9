"""request_image: records a job for an image that somebody wants.

Reads `image.kickstart, image_type, arch, name` (mandatory) and `image.prefix, queue, extra_opts, tokenmap,
extra_repos, packages, groups, tags, timeout`, `ev.id`; writes `image.image_id` and `image.prefix`.
"""

from __future__ import annotations

import logging
from typing import Any

from imgcore import config, request
from imgcore.spool import Spool
from RuoteAMQP import Workitem

__all__ = ["ParticipantHandler"]


class ParticipantHandler:
    """The participant."""

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
        fields = wid.fields.as_dict()
        image = request.image_of(fields)
        if not image.get("prefix") and image.get("queue"):
            image["prefix"] = f"{image['queue']}/{image['user']}" if image.get("user") else image["queue"]
        wanted = request.parse(image)
        event = fields.get("ev")
        stem = str(event["id"]) if isinstance(event, dict) and event.get("id") else wanted.name
        content = wanted.kickstart.encode("utf-8", "surrogateescape")
        job = Spool(settings.spool).create_unique(stem, wanted.job("none"), kickstart=content, workitem=wid.to_h())
        image["image_id"] = job.image_id
        image["prefix"] = job.prefix
        wid.result = True
