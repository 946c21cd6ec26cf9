# SPDX-License-Identifier: GPL-2.0-or-later
"""One job as its page shows it: everything decided and worded here, nothing computed in the template.

The job's own text goes through unchanged; the engine makes it visible and escapes it (imgcore.report.render).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from imgcore.job import GOOD, Job, Status
from imgcore.jobs import logfile, manifest
from imgcore.jobs.outcome import took
from imgcore.report import artifacts, changes, charts, commands, history, kickstart, log, logparts, text, usage
from imgcore.report.howto import Step
from imgcore.report.log import Line
from imgcore.report.related import Related, page_of
from imgcore.report.row import DAMAGED, Row, State, cancelled_because, cancelled_by, percent, state, worker
from imgcore.spool import Spool

__all__ = ["JobPage", "damaged_page", "page"]

_NAMED_LINE = re.compile(r"[^,:]{1,200}, line (\d{1,7}): ")
_RESOURCES = (
    ("cpu_seconds", "Processor time", text.duration),
    ("peak_memory_bytes", "Most memory", text.size),
    ("peak_disk_bytes", "Most disk", text.size),
    ("peak_processes", "Most processes", text.count),
)


@dataclass(frozen=True)
class Fact:
    """A label and what there is to say; `code` for what is typed or compared character by character."""

    label: str
    values: tuple[str, ...]
    code: bool = False
    #: Links of the values, "" where one is none.
    links: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class PhaseRow:
    """A phase on the time line; `start` and `width` in thousandths of the whole."""

    name: str
    seconds: str
    share: str
    start: float
    width: float
    running: bool = False


@dataclass(frozen=True)
class Now:
    """What a running job does at this moment."""

    phase: str
    detail: str
    percent: int
    elapsed: str
    #: Its worker is gone, and nobody has noticed yet.
    orphaned: bool


@dataclass(frozen=True)
class JobPage:
    """A page; empty fields are sections that it has not."""

    image_id: str
    title: str
    state: State
    now: Now | None = None
    problem: str = ""
    remedy: str = ""
    cause: str = ""
    by: str = ""
    attempts: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    times: tuple[tuple[str, text.Stamp, str], ...] = ()
    asked: tuple[Fact, ...] = ()
    commands: tuple[Step, ...] = ()
    resources: tuple[Fact, ...] = ()
    usage: tuple[charts.Chart, ...] = ()
    artifacts: tuple[artifacts.ArtifactRow, ...] = ()
    place: str = ""
    place_href: str = ""
    phases: tuple[PhaseRow, ...] = ()
    phases_total: str = ""
    manifest: manifest.Manifest | None = None
    package_count: str = ""
    log: log.Tail | None = None
    log_parts: tuple[logparts.Part, ...] = ()
    log_size: str = ""
    log_path: str = ""
    log_href: str = ""
    kickstart: kickstart.Kickstart | None = None
    #: From the kickstart as requested to the one that was built; None where there is no other.
    built: tuple[changes.DiffLine, ...] | None = None
    #: The last good image of the same name, type and architecture, and what is different since.
    before: Row | None = None
    changes: changes.Changes | None = None
    name_href: str = ""
    history: history.History = field(default_factory=history.History)
    stamps: Mapping[str, text.Stamp] = field(default_factory=dict)

    def line_href(self, line: Line) -> str:
        """Where a line of the log is, from this page; empty where it is on none."""
        if self.log is None or self.log.shows(line):
            return f"#{line.anchor}"
        part = next((each for each in self.log_parts if each.first <= line.number <= each.last), None)
        return f"{part.href}#{line.anchor}" if part else ""


def page(spool: Spool, job: Job, now: datetime, related: Related) -> JobPage:
    """The page of a job whose record is whole."""
    failed = job.status is Status.ERROR
    running = job.status is Status.BUILDING
    seconds = took(job, now)
    log_path = logfile.path_of(spool, job)
    tail = log.read(log_path, failed=failed, error=job.error, cause=job.error_cause)
    phases, total = _phases(job, seconds)
    past = history.read(spool.directory(job.image_id) / "events.jsonl", job.event)
    requested = kickstart.requested(spool, job.image_id, _blamed(job.error) if failed else 0)
    before = related.before if _comparable(job) else None
    return JobPage(
        image_id=job.image_id,
        title=job.name,
        state=state(job),
        now=_now(spool, job, seconds) if running else None,
        problem=_problem(job),
        remedy=job.error_remedy,
        cause=job.error_cause,
        by=cancelled_by(job),
        attempts=related.attempts,
        warnings=tuple(job.warnings),
        times=tuple(_times(job, seconds)),
        asked=tuple(_asked(job)),
        commands=tuple(commands.of(spool, job, related.before)),
        resources=tuple(_resources(job)),
        usage=usage.drawn(job.usage),
        artifacts=artifacts.rows(job),
        place=job.directory,
        place_href=text.link(job.files_url),
        phases=phases,
        phases_total=total,
        manifest=manifest.of(job),
        package_count=text.count(job.package_count),
        log=tail,
        log_parts=logparts.parts(log_path, growing=running),
        log_size=text.size(tail.size) if tail else "",
        log_path=str(log_path),
        log_href=_log_link(job, log_path),
        kickstart=requested,
        built=changes.built(job, requested),
        before=before,
        changes=changes.since(spool, before, job) if before else None,
        name_href=page_of(job.name),
        history=past,
        stamps={event.time: text.stamp(event.time) for event in past.events},
    )


def damaged_page(spool: Spool, image_id: str, reason: str) -> JobPage:
    """The page of a job whose record cannot be read: what else is there of it."""
    log_path = spool.log(image_id)
    tail = log.read(log_path)
    past = history.read(spool.directory(image_id) / "events.jsonl")
    return JobPage(
        image_id=image_id,
        title=image_id,
        state=DAMAGED,
        problem=reason,
        remedy="`img fsck` says more; `img fsck --repair` sets the record aside or mends it",
        log=tail,
        log_parts=logparts.parts(log_path),
        log_size=text.size(tail.size) if tail else "",
        log_path=str(log_path),
        log_href=log_path.as_uri() if tail else "",
        kickstart=kickstart.requested(spool, image_id),
        history=past,
        stamps={event.time: text.stamp(event.time) for event in past.events},
    )


def _problem(job: Job) -> str:
    if job.status is Status.CANCELLED:
        return cancelled_because(job) or "it was cancelled"
    if job.status is Status.ERROR:
        return job.error or "it failed, and the record does not say why; see the end of the log"
    return ""


def _now(spool: Spool, job: Job, seconds: float) -> Now:
    return Now(
        phase=job.phase or "starting",
        detail=job.progress_detail,
        percent=percent(job.progress),
        elapsed=text.duration(seconds),
        orphaned=spool.lost(job),
    )


def _times(job: Job, seconds: float) -> Iterator[tuple[str, text.Stamp, str]]:
    requested, started = text.moment(job.requested_at), text.moment(job.started_at)
    if job.requested_at:
        yield "Requested", text.stamp(job.requested_at), ""
    if job.started_at:
        waited = (started - requested).total_seconds() if started and requested else 0
        yield "Started", text.stamp(job.started_at), f"waited {text.duration(waited)}" if waited >= 1 else ""
    if job.finished_at:
        yield "Finished", text.stamp(job.finished_at), f"after {text.duration(seconds)}" if job.started_at else ""


def _asked(job: Job) -> Iterator[Fact]:
    yield Fact("Job", (job.image_id,), code=True)
    yield Fact("Image", (f"{job.image_type} for {job.arch}",))
    if job.tokenmap:
        yield Fact(
            "Tokens",
            tuple(f"{key} = {changes.hide(key, str(value))}" for key, value in job.tokenmap.items()),
            code=True,
        )
    if job.extra_repos:
        urls = tuple(job.extra_repos)
        yield Fact("Extra repositories", urls, code=True, links=tuple(text.link(url) for url in urls))
    if job.priority:
        yield Fact("Priority", (job.priority,))
    for label, names in (("Packages added", job.packages), ("Groups added", job.groups), ("Options", job.extra_opts)):
        if names:
            yield Fact(label, tuple(names), code=True)
    if job.user:
        yield Fact("By", (job.user,))
    if job.tags:
        yield Fact("Tags", tuple(job.tags))
    if job.pinned:
        yield Fact("Pinned", ("it is never removed to make room",))
    if job.tool:
        yield Fact("Tool", (job.tool + (f" ({job.executor})" if job.executor else ""),))
    if worker(job):
        yield Fact("Worker", (worker(job),))
    for label, value in (("Queue", job.queue), ("Release", job.release), ("Devices", job.devicegroup)):
        if value:
            yield Fact(label, (value,))
    for label, step in (("Built by step", job.step), ("Asked for by step", job.request_step)):
        if step:
            yield Fact(label, (step,), code=True)
    if job.timeout:
        yield Fact("Time limit", (text.duration(job.timeout),))
    if job.source_date_epoch:
        yield Fact("SOURCE_DATE_EPOCH", (str(job.source_date_epoch),), code=True)


def _resources(job: Job) -> Iterator[Fact]:
    for key, label, shown in _RESOURCES:
        value = job.resources.get(key)
        if value:
            yield Fact(label, (shown(value),))


def _phases(job: Job, seconds: float) -> tuple[tuple[PhaseRow, ...], str]:
    known = [(str(each.get("phase", "")), _positive(each.get("seconds"))) for each in job.phases]
    done = sum(length for _, length in known)
    running = job.status is Status.BUILDING and bool(job.phase)
    if running:
        known.append((job.phase, max(0.0, seconds - done)))
    if running and len(known) == 1:
        # Nothing is known of the phases before, so nothing of when this one began.
        return (), ""
    whole = max(sum(length for _, length in known), seconds)
    if not known or whole <= 0:
        return (), ""
    rows, at = [], 0.0
    for index, (name, length) in enumerate(known):
        share = length / whole
        rows.append(
            PhaseRow(
                name=name,
                seconds=text.duration(length),
                share=f"{share * 100:.0f} %" if share >= 0.005 else "< 1 %",
                start=round(at / whole * 1000, 1),
                # A phase that took next to nothing is still to be seen.
                width=round(max(share * 1000, 4), 1),
                running=running and index == len(known) - 1,
            )
        )
        at += length
    return tuple(rows), text.duration(whole)


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return 0.0
    return float(value)


def _log_link(job: Job, path: Path) -> str:
    if job.logfile_url:
        return text.link(job.logfile_url)
    # Nothing is published while a job runs; a page on a web server cannot reach the file beside the record.
    served = job.files_url.startswith(("http:", "https:"))
    return "" if served or not os.path.exists(path) else path.as_uri()  # noqa: PTH110 - never raises


def _blamed(error: str) -> int:
    """The kickstart line that an error of the creator names (`device.ks, line 12: …`), or 0."""
    match = _NAMED_LINE.match(error)
    return int(match[1]) if match else 0


def _comparable(job: Job) -> bool:
    """Whether there is anything of it to compare yet."""
    return job.status in GOOD or job.status is Status.ERROR
