# SPDX-License-Identifier: GPL-2.0-or-later
"""build_image: builds the image that a workitem describes, and answers when it is there or known not to come.

Hosted by SkyNET each build runs in a process of its own, which goes on when the host ends: the same step, given
again, finds it. Used directly, as `img build` does, it builds in this process. How far it is, others are told
as they go on: through the engine, or straight to the queue of update_image_status where there is no engine.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imgcore import config, request
from imgcore.builds import Builds, Busy
from imgcore.builds.cancelling import cancel
from imgcore.declaration import Declaration, Field
from imgcore.delivery import discard
from imgcore.errors import ImagerError, InputError, SpoolError
from imgcore.job import FINAL, GOOD, Job, Status
from imgcore.jobs import telling
from imgcore.progress import Observer
from imgcore.request import Request
from imgcore.spool import Spool
from RuoteAMQP import Workitem

if TYPE_CHECKING:
    from imgcore.worker import Worker

__all__ = ["DECLARES", "ParticipantHandler"]

DECLARES = Declaration(
    "build_image",
    reads=(
        Field("image.kickstart", str, "the text of the kickstart", mandatory=True),
        Field("image.name", str, "what the image is called", mandatory=True),
        Field("image.arch", str, "what it is built for", mandatory=True),
        Field("image.image_type", str, "`fs`, `loop`, `raw`, `livecd` or `liveusb`", mandatory=True),
        Field("image.image_id", str, "the job; without it one is recorded, with a name made of the image's"),
        Field("image.prefix", str, "where below `base_dir` the image goes; `requests` if unset"),
        Field("image.tokenmap", "text or object", "what stands for each `@TOKEN@`: `K:V,K:V`"),
        Field("image.extra_opts", "list of texts", "further options of the tool"),
        Field("image.timeout", float, "seconds after which the build is given up; as configured if unset"),
    ),
    writes=(
        Field("image.image_id", str, "the job"),
        Field("image.result", bool, "whether the image is there; so is `__result__`"),
        Field("image.status", str, "`DONE`, `ERROR` or `CANCELLED`"),
        Field("image.files_url, image_url, logfile_url", str, "where the results are"),
        Field("image.error, error_cause, error_remedy", str, "why there is none, a word to group by, what to do"),
        Field("image.artifacts", "list of objects", "`name`, `kind`, `size` and `sha256` of each published file"),
        Field(
            "image.resources, usage, phases",
            "objects, list",
            "what the build used, in all and over time; what each phase took",
        ),
        Field("image.package_count, warnings", "number, list", "packages in the image; what was strange"),
        Field("image.worker, step, directory, tool, executor", "object, texts", "who built it, where, and with what"),
        Field("image.started_at, finished_at, source_date_epoch", "time, time, number", "as in the record"),
        Field("msg", list, "a line more: how it ended"),
        Field("__error__", str, "the same line, where it failed"),
    ),
)
_STATUS_QUEUE = "update_image_status"
#: Between two attempts to tell how a build has ended.
_RETRY_SECONDS = 5.0


class ParticipantHandler:
    """The participant. In this process: setting `stop` cancels the build under way; `observer` hears of it."""

    #: For the host: a step must be begun by one worker only.
    once = True
    #: For the host: a build goes on when the host ends, and is found again.
    leaves_work = True
    slots = 1
    #: Given by the host; where nobody gives it the build runs in this process.
    post: Callable[..., None] | None = None

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("build_image")
        self.config: config.Config | None = None
        self.observer: Observer | None = None
        self.stop = threading.Event()
        self._worker_name = "build_image"
        self._engine = True
        # Steps that were cancelled before their workitem was looked at.
        self._early: deque[str] = deque(maxlen=100)

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start. A build of this process ends with it; others go on."""
        if ctrl.message == "start":
            from imgcore.builds import capacity

            self.config = config.load()
            self.slots = capacity.slots(self.config)
            if getattr(ctrl, "config", None):
                self._worker_name = ctrl.config.get("participant", "name", fallback=self._worker_name)
                self._engine = ctrl.config.getboolean("participant", "engine", fallback=True)
            if self.post is not None:
                self._recover(Spool(self.config.spool))
        elif ctrl.message == "die":
            self.stop.set()

    def may_take(self) -> str:
        """Why no build can begin now; "" where one can."""
        from imgcore.builds import capacity

        return capacity.shortage(self._settings())

    def status(self) -> dict[str, Any]:
        """Where the builds of this worker are, by their ids."""
        running = Spool(self._settings().spool).jobs(Status.BUILDING)
        ours = (job for job in running if job.worker.get("name") == self._worker_name)
        return {"builds": {job.image_id: {name: getattr(job, name) for name in telling.PROGRESS} for job in ours}}

    def handle_wi_control(self, ctrl: Any) -> None:
        """Cancel the build of an image or a step; quick, the build's end is heard by `handle_wi`."""
        if self.post is None:
            self.stop.set()
            return
        spool = Spool(self._settings().spool)
        try:
            jobs = [ctrl.image_id] if ctrl.image_id else [job.image_id for job in spool.find("step", ctrl.step)]
            here = [image_id for image_id in jobs if spool.directory(image_id).is_dir()]
            for image_id in here:
                cancel(spool, image_id, ctrl.who or "the engine", ctrl.reason or _flavour(ctrl))
        except (InputError, SpoolError) as error:
            self.log.info("not cancelled: %s", error)
        else:
            if not here:
                self.log.info("%s is not here to be cancelled", ctrl.image_id or ctrl.step or "an unknown step")
            if not here and ctrl.step:
                self._early.append(ctrl.step)

    def check(self, wid: Workitem) -> tuple[str, ...]:
        """Refuse what cannot be built, before anything is recorded. Returns warnings; raises InputError."""
        return self._worker().check(request.parse(request.image_of(wid.fields.as_dict())))

    def handle_wi(self, wid: Workitem) -> None:
        """Build. A build that fails is an answer (`result` False), not an exception."""
        fields = wid.fields.as_dict()
        image = request.image_of(fields)
        if self.post is None:
            job = self._build_here(_wanted(fields), wid)
        else:
            told = _Told(self.post, wid, self.log, engine=self._engine)
            try:
                job = self._build_apart(_wanted(fields), wid, told)
            except Busy:
                raise
            except Exception as error:
                told.refused(error)
                raise
        _reply(wid, image, job)

    def _settings(self) -> config.Config:
        return self.config or config.load()

    # ---- in processes of their own

    def _build_apart(self, wanted: Request, wid: Workitem, told: _Told) -> Job:
        settings = self._settings()
        spool = Spool(settings.spool)
        job = self._taken(spool, wanted, wid)
        job = Builds(settings, spool, self._worker_name).run(job.image_id, wanted, told)
        told(job)
        return job

    def _taken(self, spool: Spool, wanted: Request, wid: Workitem) -> Job:
        """The job, which is this step's from now on. Raises Busy where it is another's, or had ended before."""
        job = self._recorded(spool, wanted, wid, wid.step)
        with spool.edit(job.image_id) as edit:
            if edit.job.step != wid.step or not wid.step:
                # Cancelled before anybody took it is an answer like any other.
                if edit.job.step or edit.job.status not in (Status.IN_QUEUE, Status.CANCELLED):
                    by = f" by step {edit.job.step}" if edit.job.step else ""
                    raise Busy(f"job {job.image_id} is {edit.job.status}{by}", "ask for a job of its own")
                if wid.step:
                    edit.update(step=wid.step)
            job = edit.job
        if job.status is Status.IN_QUEUE and wid.step in self._early:
            return cancel(spool, job.image_id, "the engine")
        if job.status is Status.IN_QUEUE and self.is_cancelled(job.image_id):
            return cancel(spool, job.image_id, reason="before it began")
        return job

    @staticmethod
    def is_cancelled(image_id: str) -> bool:
        """Whether somebody cancelled the image before it came here. The host brings one that knows."""
        return False

    def _recover(self, spool: Spool) -> None:
        """End what a worker that died has left and no step will ask for again."""
        settings = self._settings()
        for lost in spool.recover_all():
            self.log.warning("%s: %s", lost.image_id, lost.error)
            discard(settings.base_dir, lost.prefix, lost.image_id)

    # ---- in this process

    def _build_here(self, wanted: Request, wid: Workitem) -> Job:
        spool = Spool(self._settings().spool)
        self._recover(spool)
        job = self._recorded(spool, wanted, wid, "")
        try:
            with spool.start(job.image_id, self._worker_name) as claim:
                log = spool.log(claim.image_id)
                return self._worker().build(claim, wanted, log, observer=self.observer, stop=self.stop)
        finally:
            # It was meant for this build, not for the next.
            self.stop.clear()

    def _worker(self) -> Worker:
        # Much that a host of builds in other processes does not need.
        from imgcore.executor import choose
        from imgcore.worker import Worker

        settings = self._settings()
        return Worker(settings, choose.executor(settings))

    @staticmethod
    def _recorded(spool: Spool, wanted: Request, wid: Workitem, step: str) -> Job:
        """The job; one that nobody recorded here is recorded, as that step's."""
        content = wanted.kickstart.encode("utf-8", "surrogateescape")
        new = dataclasses.replace(wanted.job(wanted.image_id or "none"), step=step)
        if not wanted.image_id:
            mine = spool.find("step", step)
            return (
                mine[0] if mine else spool.create_unique(wanted.name, new, kickstart=content, workitem=wid.encode())
            )
        if not spool.directory(wanted.image_id).exists():
            try:
                return spool.create(new, kickstart=content, workitem=wid.encode())
            except InputError:
                # Whoever recorded it meanwhile is asked now.
                if not spool.directory(wanted.image_id).exists():
                    raise
        return spool.read(wanted.image_id)


class _Told:
    """Tells others the states of a build, each in a message made of the workitem and the record alone.

    So that a state told again, after a crash, is told in the same words.
    """

    def __init__(self, post: Callable[..., None], wid: Workitem, log: Any, *, engine: bool) -> None:
        self._post = post
        self._log = log
        self._engine = engine
        self._item = wid.dup()
        self._status = ""
        self._revision = 0

    def __call__(self, job: Job) -> None:
        """Tell the state where it is news, and without an engine how far it is, where that is.

        A build does not fail because its state cannot be told: on a disk that is full the state is told later, and
        the last one is waited for.
        """
        while True:
            try:
                if job.status != self._status:
                    self._tell(job)
                elif not self._engine and job.status not in FINAL and job.revision != self._revision:
                    self._tell(job, lossy=True)
                self._status, self._revision = str(job.status), job.revision
                return
            except OSError as error:
                self._log.warning("%s is %s, which cannot be told now: %s", job.image_id, job.status, error)
                if job.status not in FINAL:
                    return
                time.sleep(_RETRY_SECONDS)

    def refused(self, error: Exception) -> None:
        """Tell that nothing was built, where no reply will say so: else the job would wait for ever."""
        image_id = request.image_of(self._item.fields.as_dict()).get("image_id")
        if self._engine or not isinstance(image_id, str) or not image_id:
            return
        text, remedy = (error.message, error.remedy) if isinstance(error, ImagerError) else (repr(error), "")
        image = {"image_id": image_id, "status": str(Status.ERROR), "error": text, "error_remedy": remedy}
        while True:
            try:
                return self._send(Status.ERROR, image, "refused", lossy=False)
            except OSError as why:
                self._log.warning("%s is refused, which cannot be told now: %s", image_id, why)
                time.sleep(_RETRY_SECONDS)

    def _tell(self, job: Job, *, lossy: bool = False) -> None:
        if self._engine:
            step = [_STATUS_QUEUE, {"status": str(job.status)}, []]
            tree = ["define", {"name": f"{_STATUS_QUEUE} {job.image_id}"}, [step]]
            fields = self._item.dup().fields.as_dict()
            fields.pop("params", None)
            _write(request.image_of(fields), job)
            fields["priority"] = "high"
            # Here, for `img build` needs no wire.
            from RuoteAMQP.connection import ENGINE_QUEUE
            from RuoteAMQP.launcher import launch_item

            self._post(ENGINE_QUEUE, launch_item(tree, fields))
            return
        image: dict[str, Any] = {}
        _write(image, job)
        # A state has one message, however often it is sent; progress has many.
        number = f"{job.event.get('seq', 0)}" + (f".{job.revision}" if lossy else "")
        self._send(job.status, image, number, lossy=lossy)

    def _send(self, status: Status, image: dict[str, Any], number: str, *, lossy: bool) -> None:
        fei = {"engine_id": "imager", "wfid": image["image_id"], "subid": status.name, "expid": number}
        params = {"status": str(status), "forget": True}
        fields = {"image": image, "priority": "high", "params": params}
        item = {"fei": fei, "participant_name": _STATUS_QUEUE, "fields": fields}
        self._post(_STATUS_QUEUE, item, lossy=lossy)


def _flavour(ctrl: Any) -> str:
    return f"its {ctrl.flavour}" if ctrl.flavour else ""


def _wanted(fields: dict[str, Any]) -> Request:
    return request.parse({"priority": fields.get("priority"), **request.image_of(fields)})


def _write(image: dict[str, Any], job: Job) -> None:
    image.update(telling.fields(job), image_id=job.image_id, status=str(job.status))


def _reply(wid: Workitem, image: dict[str, Any], job: Job) -> None:
    done = job.status in GOOD
    _write(image, job)
    image["result"] = wid.result = done
    line = f"{job.image_id}: {job.status}" + (f": {job.error}" if job.error else "")
    fields = wid.fields.as_dict()
    request.say(fields, line)
    if not done:
        fields["__error__"] = line
