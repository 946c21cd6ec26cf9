"""Write the site: what changed is replaced, what stayed is kept, what is gone is removed.

A reader finds each page old or new, never half, and no link to a page that is not there yet: job pages come
before the index, removals after it. One writer at a time (a lock in the target); whatever an interrupted one left is
taken up by the next. A page tells in its last line what it was made from: that is all the state there is.
Somebody else's index is never replaced, and nobody else's page removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imgcore.errors import InputError, SpoolError
from imgcore.job import Job, Status
from imgcore.report import index, jobview, manifest, render
from imgcore.spool import DamagedRecord, Spool

__all__ = ["REFRESH", "Site", "write"]

#: Seconds between two loads of a page that shows running work.
REFRESH = 5
_GENERATOR = b'<meta name="generator" content="Imager">'
_LAST_LINE = re.compile(rb"<!-- imager page ([0-9a-f]*) -->\s*$")
_LOCK = ".imager-report.lock"
_STRAY = re.compile(r"^\..*\.[0-9a-f]{8}\.new$")


@dataclass(frozen=True)
class Site:
    """What was written: the index, and how many pages were written, kept as they were, and removed."""

    index: Path
    written: int
    kept: int
    removed: int


def write(spool: Spool, target: Path, *, now: datetime | None = None) -> Site:
    """Bring the pages in `target` up to the spool.

    Raises InputError where `target` holds somebody else's index, SpoolError where it cannot be written.
    """
    target = target.absolute()
    with _guarded(target):
        target.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            first = target / "index.html"
            if first.exists() and not _ours(first):
                raise InputError(
                    f"{first} is not a page of Imager's", "name a directory that is empty or holds an earlier report"
                )
            return _Writer(spool, target, now or datetime.now(UTC)).write()


@contextlib.contextmanager
def _guarded(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another directory"
        place = error.filename if isinstance(error.filename, str) else target
        raise SpoolError(f"the report cannot be written: {place}: {error.strerror}", remedy) from error


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    descriptor = os.open(target / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fingerprint(path: Path) -> str | None:
    """What the page at `path` says that it was made from; None where it is no page of ours."""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            match = _LAST_LINE.search(os.pread(file.fileno(), 200, max(0, length - 200)))
    except OSError:
        return None
    return match[1].decode() if match else None


def _ours(path: Path) -> bool:
    """Whether the file at `path` is a page of ours, whole or cut off by a power cut."""
    try:
        with path.open("rb") as file:
            head = file.read(400)
    except OSError:
        return False
    return _GENERATOR in head or not head.strip(b"\0")


class _Writer:
    """One pass over the spool."""

    def __init__(self, spool: Spool, target: Path, now: datetime) -> None:
        self._spool = spool
        self._target = target
        self._now = now
        self._written = 0
        self._kept = 0
        self._removed = 0
        self._pages: set[Path] = set()

    def write(self) -> Site:
        self._put(self._target / render.STYLE, render.style(), page=False)
        rows = list(self._jobs())
        for each in self._spool.damaged():
            rows.append(index.damaged_row(each.image_id, each.reason, place=str(each.path)))
        arranged = index.arrange(rows)
        for month in arranged.months:
            self._put(
                self._target / "months" / f"{month.name}.html",
                render.render("month.html.j2", {"month": month}, root="../"),
            )
        first = self._target / "index.html"
        self._refreshing(
            "index.html.j2", first, bool(arranged.running), {"index": arranged, "spool": self._spool.root}, root=""
        )
        self._remove_old()
        return Site(first, self._written, self._kept, self._removed)

    def _jobs(self) -> Iterator[index.Row]:
        for image_id in sorted(self._spool.ids()):
            try:
                # Before the record is read: what changes after that is seen by the next pass.
                sources = self._sources(self._spool.directory(image_id))
                job = self._spool.read(image_id)
            except InputError:
                # It was removed since it was listed.
                continue
            except SpoolError as error:
                reason = error.reason if isinstance(error, DamagedRecord) else error.message
                self._damaged_page(image_id, reason)
                yield index.damaged_row(image_id, reason, href=index.page_name(image_id))
                continue
            orphaned = job.status is Status.BUILDING and not self._spool.alive(image_id)
            self._job_page(job, sources)
            yield index.row(job, self._now, orphaned=orphaned)

    def _job_page(self, job: Job, sources: str) -> None:
        directory = self._target / "jobs" / job.image_id
        path = directory / "index.html"
        running = job.status is Status.BUILDING
        sources += _stat(manifest.path_of(job.directory, job.name))
        made_from = hashlib.sha256(sources.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        # A running job's page shows the time that it has taken; it is made each time.
        fingerprint = "" if running else made_from
        if fingerprint and _fingerprint(path) == fingerprint:
            self._pages.add(path)
            self._kept += 1
            return
        page = jobview.page(self._spool, job, self._now)
        self._refreshing("job.html.j2", path, running, {"page": page}, root="../../", fingerprint=fingerprint)

    def _damaged_page(self, image_id: str, reason: str) -> None:
        page = jobview.damaged_page(self._spool, image_id, reason)
        made = render.render("job.html.j2", {"page": page}, root="../../")
        self._put(self._target / "jobs" / image_id / "index.html", made)

    def _refreshing(
        self, template: str, path: Path, running: bool, values: dict[str, object], *, root: str, fingerprint: str = ""
    ) -> None:
        """A page that loads itself anew while it shows running work."""
        if running:
            # The same page at rest: to select text in, or for whom a page that moves is hard to read (WCAG 2.2.1).
            still = render.render(template, values, root=root)
            self._put(path.with_name("still.html"), still)
        refresh = REFRESH if running else 0
        self._put(path, render.render(template, values, root=root, fingerprint=fingerprint, refresh=refresh))

    def _sources(self, directory: Path) -> str:
        """Changes with anything in a job's directory that the page of a job at rest is made from."""
        names = ("job.json", "events.jsonl", "kickstart.ks", "build.log")
        return "".join([render.code_fingerprint(), *(_stat(directory / name) for name in names)])

    def _put(self, path: Path, content: bytes, *, page: bool = True) -> None:
        self._pages.add(path)
        try:
            same = path.read_bytes() == content
        except FileNotFoundError:
            same = False
        if same:
            self._kept += page
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
        try:
            # Not synced to disk: a page that a power cut takes is made again.
            fresh.write_bytes(content)
            fresh.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        self._written += page

    def _remove_old(self) -> None:
        _sweep(self._target)
        still = self._target / "still.html"
        if still not in self._pages and _ours(still):
            still.unlink(missing_ok=True)
            self._removed += 1
        for directory in (self._target / "jobs", self._target / "months"):
            with contextlib.suppress(FileNotFoundError):
                self._remove_below(directory)

    def _remove_below(self, directory: Path) -> None:
        _sweep(directory)
        for entry in list(os.scandir(directory)):
            path = directory / entry.name
            if entry.is_dir(follow_symlinks=False):
                if directory.name == "jobs":
                    self._remove_below(path)
                    with contextlib.suppress(OSError):
                        path.rmdir()
            elif path.suffix == ".html" and path not in self._pages and _ours(path):
                path.unlink(missing_ok=True)
                self._removed += 1


def _stat(path: Path | None) -> str:
    """Changes with the file at `path`: it is replaced (inode) or grows (size), or is edited by hand (time)."""
    if path is None:
        return ""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return f"{path}: none\n"
    return f"{path}: {found.st_ino} {found.st_size} {found.st_mtime_ns}\n"


def _sweep(directory: Path) -> None:
    """Remove what an interrupted writer left; the lock says that no other is at work."""
    for entry in list(os.scandir(directory)):
        if _STRAY.match(entry.name) and entry.is_file(follow_symlinks=False):
            with contextlib.suppress(OSError):
                (directory / entry.name).unlink()
