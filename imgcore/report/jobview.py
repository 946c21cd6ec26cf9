"""One job as its page shows it: everything decided and worded here, nothing computed in the template.

The job's own text goes through unchanged; the engine makes it visible and escapes it (imgcore.report.render).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from imgcore.job import Job, Status
from imgcore.report import artifacts, history, kickstart, log, manifest, text
from imgcore.spool import Spool

__all__ = ["JobPage", "State", "damaged_page", "page", "state", "took"]

KICKSTART_BYTES = 4 * 2**20
_SECRET = re.compile(r"pass(wor|wr)?d|secret|credential|api_?key|auth_?token", re.IGNORECASE)
_NAMED_LINE = re.compile(r"[^,:]{1,200}, line (\d{1,7}): ")
_RESOURCES = (
    ("cpu_seconds", "Processor time", text.duration),
    ("peak_memory_bytes", "Most memory", text.size),
    ("peak_disk_bytes", "Most disk", text.size),
    ("peak_processes", "Most processes", text.count),
)


@dataclass(frozen=True)
class State:
    """A job's state: a word for style sheets, and the one for people."""

    slug: str
    label: str


_STATES = {
    Status.IN_QUEUE: State("queued", "In queue"),
    Status.BUILDING: State("building", "Building"),
    Status.DONE: State("done", "Done"),
    Status.TESTED: State("tested", "Done, tested"),
    Status.ERROR: State("failed", "Failed"),
    Status.CANCELLED: State("cancelled", "Cancelled"),
}
_GOOD = {Status.DONE, Status.TESTED}
DAMAGED = State("damaged", "Damaged record")


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
    warnings: tuple[str, ...] = ()
    times: tuple[tuple[str, text.Stamp, str], ...] = ()
    asked: tuple[Fact, ...] = ()
    again: str = ""
    resources: tuple[Fact, ...] = ()
    artifacts: tuple[artifacts.ArtifactRow, ...] = ()
    place: str = ""
    place_href: str = ""
    phases: tuple[PhaseRow, ...] = ()
    phases_total: str = ""
    manifest: manifest.Manifest | None = None
    package_count: str = ""
    log: log.Tail | None = None
    log_size: str = ""
    log_path: str = ""
    log_href: str = ""
    kickstart: kickstart.Kickstart | None = None
    history: history.History = field(default_factory=history.History)
    stamps: Mapping[str, text.Stamp] = field(default_factory=dict)


def state(job: Job) -> State:
    """The job's state."""
    return _STATES[job.status]


def took(job: Job, now: datetime) -> float:
    """Seconds from start to end, or to `now` while it runs; 0 before."""
    start = text.moment(job.started_at)
    end = text.moment(job.finished_at) or (now if job.status is Status.BUILDING else None)
    if start is None or end is None:
        return 0.0
    return max(0.0, (end - start).total_seconds())


def page(spool: Spool, job: Job, now: datetime) -> JobPage:
    """The page of a job whose record is whole."""
    failed = job.status is Status.ERROR
    running = job.status is Status.BUILDING
    seconds = took(job, now)
    log_path = _log_path(spool, job)
    tail = log.read(log_path, failed=failed, error=job.error, cause=job.error_cause)
    phases, total = _phases(job, seconds)
    past = history.read(spool.directory(job.image_id) / "events.jsonl", job.event)
    listed = manifest.path_of(job.directory, job.name)
    return JobPage(
        image_id=job.image_id,
        title=job.name,
        state=state(job),
        now=_now(spool, job, seconds) if running else None,
        problem=_problem(job),
        remedy=job.error_remedy,
        cause=job.error_cause,
        warnings=tuple(job.warnings),
        times=tuple(_times(job, seconds)),
        asked=tuple(_asked(job)),
        again=_again(spool, job),
        resources=tuple(_resources(job)),
        artifacts=artifacts.rows(job),
        place=job.directory,
        place_href=text.link(job.files_url),
        phases=phases,
        phases_total=total,
        manifest=manifest.read(listed) if listed is not None and listed.is_file() else None,
        package_count=text.count(job.package_count),
        log=tail,
        log_size=text.size(tail.size) if tail else "",
        log_path=str(log_path),
        log_href=_log_link(job, log_path),
        kickstart=_kickstart(spool, job.image_id, _blamed(job.error) if failed else 0),
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
        log_size=text.size(tail.size) if tail else "",
        log_path=str(log_path),
        log_href=log_path.as_uri() if tail else "",
        kickstart=_kickstart(spool, image_id),
        history=past,
        stamps={event.time: text.stamp(event.time) for event in past.events},
    )


def _problem(job: Job) -> str:
    if job.status is Status.CANCELLED:
        return cancelled_because(job) or "it was cancelled"
    if job.status is Status.ERROR:
        return job.error or "it failed, and the record does not say why; see the end of the log"
    return ""


def cancelled_because(job: Job) -> str:
    """The reason that whoever cancelled the job gave; else what its worker said of it."""
    given = job.event.get("reason", "") if job.event.get("to") == Status.CANCELLED else ""
    return given or job.error


def _now(spool: Spool, job: Job, seconds: float) -> Now:
    return Now(
        phase=job.phase or "starting",
        detail=job.progress_detail,
        percent=percent(job.progress),
        elapsed=text.duration(seconds),
        orphaned=not spool.alive(job.image_id),
    )


def percent(fraction: object) -> int:
    """A fraction as a whole number from 0 to 100; whatever is none is 0."""
    if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        return 0
    return int(fraction * 100)


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
            "Tokens", tuple(f"{key} = {_hide(key, str(value))}" for key, value in job.tokenmap.items()), code=True
        )
    if job.extra_repos:
        urls = tuple(job.extra_repos)
        yield Fact("Extra repositories", urls, code=True, links=tuple(text.link(url) for url in urls))
    for label, names in (("Packages added", job.packages), ("Groups added", job.groups), ("Options", job.extra_opts)):
        if names:
            yield Fact(label, tuple(names), code=True)
    if job.user:
        yield Fact("By", (job.user,))
    if job.tags:
        yield Fact("Tags", tuple(job.tags))
    if job.tool:
        yield Fact("Tool", (job.tool + (f" ({job.executor})" if job.executor else ""),))
    if job.worker.get("host"):
        yield Fact("Worker", (" on ".join(each for each in (job.worker.get("name"), job.worker["host"]) if each),))
    if job.timeout:
        yield Fact("Time limit", (text.duration(job.timeout),))
    if job.source_date_epoch:
        yield Fact("SOURCE_DATE_EPOCH", (str(job.source_date_epoch),), code=True)


def _hide(key: str, value: str) -> str:
    return kickstart.MASK if _SECRET.search(key) else value


def _again(spool: Spool, job: Job) -> str:
    # With the same time stamps the same packages give the same bytes.
    same = [f"SOURCE_DATE_EPOCH={job.source_date_epoch}"] if job.source_date_epoch and job.status in _GOOD else []
    words = [*same, "img", "build", str(spool.directory(job.image_id) / "kickstart.ks")]
    words += ["--name", job.name, "--type", job.image_type, "--arch", job.arch]
    if job.tokenmap:
        words += ["--tokenmap", ",".join(f"{key}:{_hide(key, str(value))}" for key, value in job.tokenmap.items())]
    for option, values in (
        ("--extra-repo", job.extra_repos),
        ("--package", job.packages),
        ("--group", job.groups),
        ("--opt", job.extra_opts),
        ("--tag", job.tags),
    ):
        words += [f"{option}={value}" for value in values]
    if job.timeout:
        words.append(f"--timeout={job.timeout:g}s")
    return shlex.join(words)


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


def _log_path(spool: Spool, job: Job) -> Path:
    """The log beside the record; where that is gone, the published one."""
    path = spool.log(job.image_id)
    name = job.logfile_url.rpartition("/")[2]
    if not path.exists() and name and job.directory.startswith("/"):
        published = Path(job.directory) / name
        if "\0" not in str(published) and published.is_file():
            return published
    return path


def _log_link(job: Job, path: Path) -> str:
    if job.logfile_url:
        return text.link(job.logfile_url)
    # Nothing is published while a job runs; a page on a web server cannot reach the file beside the record.
    return "" if job.files_url.startswith(("http:", "https:")) or not path.exists() else path.as_uri()


def _blamed(error: str) -> int:
    """The kickstart line that an error of the creator names (`device.ks, line 12: …`), or 0."""
    match = _NAMED_LINE.match(error)
    return int(match[1]) if match else 0


def _kickstart(spool: Spool, image_id: str, blamed: int = 0) -> kickstart.Kickstart | None:
    try:
        with (spool.directory(image_id) / "kickstart.ks").open("rb") as file:
            return kickstart.listing(file.read(KICKSTART_BYTES), blamed)
    except OSError:
        return None
