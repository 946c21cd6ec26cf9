"""build_image: runs a worker and blocks until the image is there, or is known not to come.

Reads `image.kickstart, name, arch, image_type` (mandatory) and `image.image_id, prefix, tokenmap, extra_opts,
timeout`; writes `image.result, files_url, image_url, logfile_url, error`, and ours: `artifacts` (with size and
SHA-256), `resources`, `status`.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from imgcore import config, request
from imgcore.claim import Claim
from imgcore.delivery import discard
from imgcore.errors import InputError
from imgcore.executor import choose
from imgcore.job import Job, Status
from imgcore.progress import Observer
from imgcore.spool import Spool
from imgcore.worker import Worker
from RuoteAMQP import Workitem

__all__ = ["ParticipantHandler"]

_REPLIED = ("files_url", "image_url", "logfile_url", "error", "error_cause", "error_remedy", "warnings")


class ParticipantHandler:
    """The participant. Setting `stop` cancels the build under way; `observer` hears of it."""

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("build_image")
        self.config: config.Config | None = None
        self.observer: Observer | None = None
        self.stop = threading.Event()

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start; end the build when the process cannot wait for it."""
        if ctrl.message == "start":
            self.config = config.load()
        elif ctrl.message == "die":
            self.stop.set()

    def handle_wi_control(self, ctrl: Any) -> None:
        """Cancel the build."""
        self.stop.set()

    def check(self, wid: Workitem) -> tuple[str, ...]:
        """Refuse what cannot be built, before anything is recorded. Returns warnings; raises InputError."""
        wanted = request.parse(request.image_of(wid.fields.as_dict()))
        return self._worker().check(wanted)

    def handle_wi(self, wid: Workitem) -> None:
        """Build. A build that fails is an answer (`result` False), not an exception."""
        settings = self.config or config.load()
        image = request.image_of(wid.fields.as_dict())
        wanted = request.parse(image)
        spool = Spool(settings.spool)
        for lost in spool.recover_all():
            self.log.warning("%s: %s", lost.image_id, lost.error)
            discard(settings.base_dir, lost.prefix, lost.image_id)
        try:
            with self._claimed(spool, wanted, wid) as claim:
                log = spool.log(claim.image_id)
                job = self._worker().build(claim, wanted, log, observer=self.observer, stop=self.stop)
        finally:
            # It was meant for this build, not for the next.
            self.stop.clear()
        _reply(wid, image, job)

    def _worker(self) -> Worker:
        settings = self.config or config.load()
        return Worker(settings, choose.executor(settings))

    @staticmethod
    def _claimed(spool: Spool, wanted: request.Request, wid: Workitem) -> Claim:
        """The job's claim; a job that nobody recorded here is recorded first."""
        if wanted.image_id:
            try:
                return spool.start(wanted.image_id)
            except InputError:
                if spool.directory(wanted.image_id).exists():
                    raise
        content = wanted.kickstart.encode("utf-8", "surrogateescape")
        if wanted.image_id:
            job = spool.create(wanted.job(wanted.image_id), kickstart=content, workitem=wid.to_h())
        else:
            job = spool.create_unique(wanted.name, wanted.job("none"), kickstart=content, workitem=wid.to_h())
        return spool.start(job.image_id)


def _reply(wid: Workitem, image: dict[str, Any], job: Job) -> None:
    done = job.status is Status.DONE
    image["image_id"] = job.image_id
    image["status"] = str(job.status)
    image["result"] = done
    for name in _REPLIED:
        image[name] = getattr(job, name)
    image["warnings"] = list(job.warnings)
    image["artifacts"] = [dict(each) for each in job.artifacts]
    image["resources"] = dict(job.resources)
    messages = wid.fields.as_dict().setdefault("msg", [])
    if isinstance(messages, list):
        messages.append(f"{job.image_id}: {job.status}" + (f": {job.error}" if job.error else ""))
    wid.result = done
