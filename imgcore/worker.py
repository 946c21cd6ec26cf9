# SPDX-License-Identifier: GPL-2.0-or-later
"""One job, from its record to its result: prepare, run, judge, deliver, and say so in the record.

The record is BUILDING exactly as long as a process holds the job's claim. Whatever goes wrong becomes the
record's `error`, a sentence with its cause and remedy; the log is delivered also then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imgcore import progress, tool
from imgcore.buildlog import BuildLog, without_credentials
from imgcore.config import Config
from imgcore.delivery import Delivery, discard, place
from imgcore.errors import BuildError, Cancelled, ImagerError, InputError
from imgcore.executor import KEPT, READABLE, Executor, Limits, Outcome, Task
from imgcore.job import Job, Status
from imgcore.progress import Observer, Progress, Silent
from imgcore.request import Request
from imgcore.spool.claim import Claim
from imgcore.tool.diagnosis import stopped
from imgcore.usage import Usage

__all__ = ["Worker"]

#: The record says where a build is at most this often (seconds).
_RECORD_SECONDS = 1.0
#: A build has not so many phases; a script that says it has does not fill the record.
_MOST_PHASES = 50


class Worker:
    """Builds jobs with one configuration and one executor."""

    def __init__(self, config: Config, executor: Executor) -> None:
        self._config = config
        self._executor = executor

    def check(self, request: Request) -> tuple[str, ...]:
        """Refuse what cannot be built, before anything is written. Returns warnings; raises InputError."""
        for option, path in (
            ("--outdir, or [imager] base_dir", self._config.base_dir),
            ("[imager] cache", self._config.cache),
        ):
            _refuse_unwritable(path, option)
        return self._tool().prepare(request.order("check", 1)).warnings

    def build(
        self,
        claim: Claim,
        request: Request,
        log_path: Path,
        *,
        observer: Observer | None = None,
        stop: threading.Event | None = None,
    ) -> Job:
        """Build the claimed job; returns its final record and never raises for a build that failed.

        Raises SpoolError where the record itself cannot be written.
        """
        job = claim.job
        discard(self._config.base_dir, job.prefix, job.image_id)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(log_path.parent / KEPT)
        claim.update(tool=self._config.tool, executor=self._executor.name, directory=str(self._place(job)))
        began = time.monotonic()
        with BuildLog(log_path, self._config.log_bytes) as log:
            recorder = _Recorder(claim, log, observer or Silent(), stop or threading.Event())
            recorder.line(f"{job.image_id}: {job.image_type} image {job.name} for {job.arch}, by {self._config.tool}")
            try:
                changes = self._run(job, request, recorder)
                status = Status.DONE
            except (Cancelled, KeyboardInterrupt):
                status, changes = Status.CANCELLED, {"error": "the build was cancelled", "error_cause": "cancelled"}
            except ImagerError as error:
                status, changes = Status.ERROR, _told(error)
                changes["error_remedy"] += _kept(log_path.parent, job.image_id, bool(changes["error_remedy"]))
            except Exception as error:  # the last resort: whatever else happens is a fault of ours, and is told so
                for line in traceback.format_exc().splitlines():
                    recorder.line(line)
                text = " ".join(f"{type(error).__name__}: {error}".split())
                status = Status.ERROR
                changes = _told(BuildError(f"the worker failed: {text}", "report this with the log", "internal"))
            if status is not Status.DONE:
                recorder.line(f"{status}: {changes['error']}")
                changes |= self._deliver_log(job, recorder)
            changes |= {
                "phases": recorder.phases(),
                "resources": recorder.resources(began),
                "usage": recorder.usage(),
            }
        try:
            return claim.finish(status, str(changes.get("error", "")), "", **changes)
        except Cancelled:  # by somebody else, meanwhile; the record says so
            return claim.job

    def _run(self, job: Job, request: Request, recorder: _Recorder) -> dict[str, Any]:
        used = self._tool()
        requested = int(datetime.fromisoformat(job.requested_at).timestamp()) if job.requested_at else 1
        order = request.order(job.image_id, requested)
        # What it takes to get the same bytes again.
        recorder.claim.update(source_date_epoch=order.source_date_epoch)
        recorder.progress(Progress("prepare"))
        prepared = used.prepare(order)
        recorder.as_built = prepared.as_built
        recorder.readable = prepared.readable
        for warning in prepared.warnings:
            recorder.line(f"warning: {warning}")
        limits = self._limits(request)
        self._config.cache.mkdir(parents=True, exist_ok=True)
        task = Task(
            tool=used.name,
            arguments=prepared.arguments,
            inputs=prepared.inputs,
            cache=self._config.cache,
            environment=prepared.environment,
            readable=prepared.readable,
            urls=prepared.urls,
            limits=limits,
            keep=recorder.log.path.parent / KEPT if self._config.vm.keep_on_failure else None,
        )
        with Delivery(self._config.base_dir, job.prefix, job.image_id) as delivery:
            recorder.delivery = delivery
            with self._executor.run(task, recorder, recorder.stop) as recorder.outcome:
                if recorder.outcome.stopped_by:
                    raise stopped(recorder.outcome, limits)
                result = used.judge(order, recorder.outcome, _Output(delivery, recorder.tail))
                recorder.progress(Progress("deliver"))
                warnings = (*prepared.warnings, *result.warnings)
                return self._publish(job, delivery, result, recorder, warnings)

    def _publish(
        self, job: Job, delivery: Delivery, result: tool.Result, recorder: _Recorder, warnings: Sequence[str]
    ) -> dict[str, Any]:
        kinds = {each.name: each.kind for each in result.artifacts}
        for name in set(delivery.sizes) - set(kinds):
            delivery.drop(name)
        for name, kind, content in (
            (f"{job.name}.manifest.json", "manifest", _manifest(job, result)),
            (f"{job.name}.ks", "kickstart", recorder.as_built),
        ):
            if name in kinds:
                delivery.drop(name)
            delivery.add(name, content)
            kinds[name] = kind
        log = f"{job.name}.log"
        if log in kinds:
            delivery.drop(log)
        kinds[log] = "log"
        delivery.add_file(log, recorder.log.path)
        artifacts = [
            {"name": name, "kind": kinds[name], "size": size, "sha256": delivery.sha256(name)}
            for name, size in sorted(delivery.sizes.items())
        ]
        delivery.publish(latest=job.name)
        image = next((each for each in result.artifacts if each.kind in ("image", "archive")), None)
        return {
            "artifacts": artifacts,
            "package_count": len(result.packages),
            "warnings": tuple(dict.fromkeys(without_credentials(each) for each in warnings)),
            "files_url": self._url(job),
            "image_url": self._url(job, image.name) if image else "",
            "logfile_url": self._url(job, f"{job.name}.log"),
        }

    def _deliver_log(self, job: Job, recorder: _Recorder) -> dict[str, Any]:
        """What a failed job publishes; a disk on which that is not possible either must not hide the failure."""
        try:
            with Delivery(self._config.base_dir, job.prefix, job.image_id) as delivery:
                delivery.add_file(f"{job.name}.log", recorder.log.path)
                if recorder.as_built:
                    delivery.add(f"{job.name}.ks", recorder.as_built)
                delivery.publish()
        except ImagerError as error:
            recorder.line(f"the log could not be published: {error}")
            return {}
        return {"files_url": self._url(job), "logfile_url": self._url(job, f"{job.name}.log")}

    def _tool(self) -> tool.Tool:
        return tool.by_name(self._config.tool, self._config.commands)

    def _limits(self, request: Request) -> Limits:
        config = self._config
        return Limits(
            memory_bytes=config.memory_bytes,
            processes=config.processes,
            disk_bytes=config.disk_bytes,
            seconds=request.timeout or config.timeout,
            scratch=config.scratch,
        )

    def _place(self, job: Job) -> Path:
        return place(self._config.base_dir, job.prefix, job.image_id)

    def _url(self, job: Job, name: str = "") -> str:
        if self._config.base_url:
            return f"{self._config.base_url.rstrip('/')}/{quote(f'{job.prefix}/{job.image_id}/{name}')}"
        return self._place(job).absolute().as_uri() + f"/{quote(name)}"


@dataclass
class _Recorder:
    """Hears of a running build, and tells the log, the record and an observer."""

    claim: Claim
    log: BuildLog
    observer: Observer
    stop: threading.Event
    delivery: Delivery | None = None
    as_built: bytes = b""
    readable: Sequence[Path] = ()
    outcome: Outcome = field(default_factory=lambda: Outcome(0))
    _usage: Usage = field(default_factory=Usage)
    _began: float = field(default_factory=time.monotonic)
    _current: Progress | None = None
    _since: float = 0.0
    _seconds: dict[str, float] = field(default_factory=dict)
    _recorded: float = 0.0
    _looked: float = 0.0
    _told: Progress | None = None

    def line(self, text: str) -> None:
        """See `Receiver.line`."""
        if READABLE in text:
            # People know a repository by its own path. From the last: the first is the beginning of the tenth.
            for index in reversed(range(len(self.readable))):
                text = text.replace(f"{READABLE}/{index}", str(self.readable[index]))
        told = progress.parse(text)
        if told is not None:
            self.progress(told)
        self.observer.log(self.log.add(text))

    def sample(self, cpu_seconds: float, memory_bytes: int, disk_bytes: int, processes: int) -> None:
        """See `Receiver.sample`."""
        changed = self._usage.add(time.monotonic() - self._began, cpu_seconds, memory_bytes, disk_bytes)
        self._record(sampled=changed)
        self._look()

    def file(self, name: str, size: int, mode: int) -> None:
        """See `Receiver.file`."""
        if self.delivery is not None:
            self.delivery.begin(name, size, mode)

    def data(self, offset: int, content: bytes) -> None:
        """See `Receiver.data`."""
        if self.delivery is not None:
            self.delivery.write(offset, content)

    def progress(self, now: Progress) -> None:
        """The build is here."""
        if self._current is not None and now.phase not in self._seconds and len(self._seconds) >= _MOST_PHASES:
            now = dataclasses.replace(now, phase=self._current.phase)
        self._close_phase(now.phase)
        self._current = now
        self.observer.progress(now)
        self._record()

    def phases(self) -> list[dict[str, Any]]:
        """How long each phase took, in the order in which they began; the running one ends here."""
        self._close_phase("")
        return self._finished()

    def resources(self, began: float) -> dict[str, Any]:
        """What the build used, for the record."""
        used = dataclasses.asdict(self.outcome)
        del used["status"], used["signal"], used["stopped_by"]
        return {**used, "wall_seconds": round(time.monotonic() - began, 3)}

    def usage(self) -> dict[str, list[float]]:
        """The same over time, for the record."""
        return self._usage.columns()

    @property
    def tail(self) -> Sequence[str]:
        """The last lines of the log."""
        return self.log.tail

    def _finished(self) -> list[dict[str, Any]]:
        return [{"phase": phase, "seconds": round(seconds, 3)} for phase, seconds in self._seconds.items()]

    def _close_phase(self, next_phase: str) -> None:
        now = time.monotonic()
        if self._current is not None and self._current.phase != next_phase:
            self._seconds[self._current.phase] = self._seconds.get(self._current.phase, 0.0) + now - self._since
        if self._current is None or self._current.phase != next_phase:
            self._since = now

    def _look(self) -> None:
        """Whether somebody wants the job to end who could not tell this process, only its record."""
        now = time.monotonic()
        if now - self._looked >= _RECORD_SECONDS:
            self._looked = now
            if self.claim.refresh().status is Status.CANCELLED:
                self.stop.set()

    def _record(self, *, sampled: bool = False) -> None:
        now = time.monotonic()
        if self._current is None or (self._current == self._told and not sampled):
            return
        if now - self._recorded < _RECORD_SECONDS:
            return
        self.claim.update(
            phase=self._current.phase,
            progress=round(self._current.fraction, 3),
            progress_detail=without_credentials(self._current.detail)[:200],
            phases=self._finished(),
            usage=self.usage(),
        )
        self._recorded, self._told = now, self._current


@dataclass(frozen=True)
class _Output:
    """What a tool's judge looks at."""

    delivery: Delivery
    tail: Sequence[str]

    @property
    def files(self) -> Mapping[str, int]:
        return self.delivery.sizes

    def read(self, name: str, limit: int) -> bytes:
        return self.delivery.read(name, limit)


def _refuse_unwritable(directory: Path, option: str) -> None:
    """What can be seen beforehand of a directory that could not be made or written to."""
    try:
        there = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
        if not there.is_dir():
            raise InputError(f"{directory} cannot be used: {there} is not a directory", f"correct {option}")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"{directory} cannot be used: {there} cannot be written", f"correct {option}")
    except OSError as error:
        raise InputError(f"{directory} cannot be used: {error.strerror}", f"correct {option}") from error


def _manifest(job: Job, result: tool.Result) -> bytes:
    packages = sorted((dataclasses.asdict(each) for each in result.packages), key=lambda each: tuple(each.values()))
    content = {"name": job.name, "arch": job.arch, "image_type": job.image_type, "packages": packages}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _kept(directory: Path, image_id: str, more: bool) -> str:
    """What a failure's remedy says of a machine that was kept."""
    kept = directory / KEPT
    return f"{'; ' if more else ''}its machine is kept in {kept}: `img vm shell {image_id}`" if kept.exists() else ""


def _told(error: ImagerError) -> dict[str, Any]:
    cause = error.cause if isinstance(error, BuildError) else "internal"
    return {
        "error": without_credentials(error.message),
        "error_cause": cause,
        "error_remedy": without_credentials(error.remedy),
    }
