# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the site: what changed is replaced, what stayed is kept, what is gone is removed.

A reader finds each page old or new, never half, and no way to a page that is not there: new pages come first, then
those that lead to them, the index last, removals after it. A page tells in its last line what it was made from: that
is all the state there is. A `Report` that stays remembers it, so that it looks only at what it is told of.
"""

from __future__ import annotations

import functools
import hashlib
import os
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from imgcore import atomic
from imgcore.errors import InputError, SpoolError
from imgcore.jobs import manifest
from imgcore.report import (
    changes,
    failures,
    feeds,
    files,
    index,
    jobview,
    logparts,
    namepage,
    related,
    render,
    service,
)
from imgcore.report.ledger import Group, Ledger
from imgcore.report.related import Related
from imgcore.report.row import ENDED, Row, damaged_row, page_name, row
from imgcore.spool import DamagedRecord, Spool

__all__ = ["REFRESH", "Report", "Site", "listed", "write"]

#: Seconds between two loads of a page that shows running work.
REFRESH = 5
_SOURCES = ("job.json", "events.jsonl", "kickstart.ks", "build.log")


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
    return Report(spool, target).update(now=now)


def listed(spool: Spool) -> Iterator[str]:
    """The jobs that have a directory, one by one: there can be very many. Raises SpoolError."""
    place = spool.root / "jobs"
    try:
        with os.scandir(place) as found:
            for entry in found:
                yield entry.name
    except OSError as error:
        raise atomic.failed(place, error, "read") from error


class Report:
    """The pages of `spool` in `target`."""

    def __init__(self, spool: Spool, target: Path) -> None:
        self._spool = spool
        self._target = target.absolute()
        self._ledger = Ledger(self._target)
        self._known = False

    @property
    def building(self) -> bool:
        """Whether something was running when it looked last."""
        return bool(self._ledger.whole.count({"building"}))

    def known(self) -> Iterator[str]:
        """The jobs that have pages, also while it is updated."""
        return (self._ledger.rows.row(slot).image_id for slot in self._ledger.rows.slots())

    def newest(self, number: int) -> list[str]:
        """So many of the jobs that were asked for, began or ended last."""
        return [each.image_id for each in islice(self._ledger.whole.newest(), number)]

    def update(self, changed: Collection[str] | None = None, *, now: datetime | None = None) -> Site:
        """Bring the pages up to the spool, as to these jobs and those that run; as to all where none are named.

        Raises as `write`. What goes wrong once leaves it so that the next time it looks at everything.
        """
        whole = changed is None or not self._known
        self._known = False
        with files.opened(self._target) as opened:
            running = (each.image_id for each in self._ledger.whole.newest({"building"}))
            looked = None if whole else {*(changed or ()), *running}
            done = _Pass(self._spool, opened, self._ledger, now or datetime.now(UTC)).run(looked)
        self._known = True
        return done


class _Pass:
    """One pass: over everything, or over some jobs and the pages that show them."""

    def __init__(self, spool: Spool, out: files.Files, ledger: Ledger, now: datetime) -> None:
        self._spool = spool
        self._out = out
        self._target = out.target
        self._ledger = ledger
        self._now = now
        self._later: list[Callable[[], None]] = []
        self._gone: set[str] = set()

    def run(self, looked: set[str] | None) -> Site:
        """Do it; `looked` are the jobs to look at, None is all."""
        ledger, whole = self._ledger, looked is None
        changed: list[Row] = []
        if looked is None:
            # First those that may be gone. What changed of all is nothing to remember: every page is looked at.
            for slot in ledger.rows.slots():
                self._look(ledger.rows.row(slot).image_id)
            for image_id in listed(self._spool):
                if image_id not in ledger.rows:
                    self._look(image_id)
        else:
            changed = [row for image_id in sorted(looked) for row in self._look(image_id)]
        aside = [damaged_row(each.image_id, each.reason, place=str(each.path)) for each in self._spool.damaged()]
        arranged = index.arrange(ledger, self._now, service.disks(self._spool.root, ledger, self._now), aside)
        months = [page for month in arranged.months for page in month.pages]
        if whole:
            self._assets()
            slots, names = ledger.rows.slots(), set(ledger.names)
        else:
            concerned = {image_id for each in changed for image_id in related.concerned(ledger, each)}
            slots = (found[0] for image_id in sorted(concerned) if (found := ledger.rows.find(image_id)))
            names = ledger.names.keys() & {each.name for each in changed}
            touched = {each.day[:7] for each in changed if each.state.slug in ENDED}
            # The others have their pages, but for when there is no room for all on the first page any more.
            months = [each for each in months if each.name[:7] in touched or not (self._target / each.href).exists()]
        jobs_later = array("I", (slot for slot in slots if not self._job(slot, fresh=True)))
        for name in sorted(names):
            self._name(name, ledger.names[name])
        self._months(months)
        if whole or any(each.state.slug in ENDED for each in changed):
            self._page("failures.html", "failures.html.j2", {"failures": failures.failures(ledger)})
        for slot in jobs_later:
            self._job(slot)
        for make in self._later:
            make()
        first = self._target / "index.html"
        values = {"index": arranged, "spool": self._spool.root}
        self._refreshing("index.html.j2", first, bool(arranged.running), values, root="")
        self._feeds(arranged)
        self._remove(changed, arranged, whole=whole)
        return Site(first, self._out.written, self._out.kept, self._out.removed)

    # ---- reading

    def _look(self, image_id: str) -> list[Row]:
        """Bring the job's row up to its record; where it changed, as it was and as it is."""
        try:
            directory = self._spool.directory(image_id)
        except InputError:
            return []  # no job's
        found = self._ledger.rows.find(image_id)
        before = found and found[1]
        try:
            # Before the record is read: what changes after that is seen by the next pass.
            made_from = _sources(directory)
            if found and found[1].state.slug != "building" and self._ledger.rows.read(found[0]) == made_from:
                return []
            after = self._row(image_id)
        except InputError:
            # It was removed since it was listed.
            self._gone.add(image_id)
            self._ledger.drop(image_id)
            return [before] if before else []
        self._ledger.put(after, made_from)
        return [before, after] if before else [after]

    def _row(self, image_id: str) -> Row:
        try:
            job = self._spool.read(image_id)
        except SpoolError as error:
            reason = error.reason if isinstance(error, DamagedRecord) else error.message
            return damaged_row(image_id, reason, href=page_name(image_id))
        try:
            return row(job, self._now, orphaned=self._spool.lost(job))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # What nobody thought of, in one record, must not stop the pages of all others.
            reason = f"its line cannot be made: {type(error).__name__}: {error}"
            return damaged_row(image_id, reason, href=page_name(image_id))

    # ---- pages

    def _assets(self) -> None:
        for name in (render.STYLE, render.SCRIPT):
            self._out.put(self._target / name, render.asset(name), page=False)
        self._out.put(self._target / "job.schema.json", feeds.schema(), page=False)

    def _job(self, slot: int, *, fresh: bool = False) -> bool:
        """Have the page of the job in `slot` as it should be; if `fresh`, only where there is none. Whether it is."""
        shown = self._ledger.rows.row(slot)
        path = Path(f"{self._target}/jobs/{shown.image_id}/index.html")
        found = related.of(self._ledger, shown)
        # A running job's page shows the time that it has taken; it is made each time.
        made_from = self._made_from(slot, shown, found) if shown.state.slug != "building" else ""
        if made_from and self._fits(path, made_from):
            return True
        if fresh and path.exists():
            return False
        self._make_job(shown, found, path, made_from)
        return True

    def _made_from(self, slot: int, shown: Row, found: Related) -> str:
        rows = self._ledger.rows
        stamps = [render.code_fingerprint(), rows.read(slot).hex(), found.digest]
        stamps.append(str(f"{shown.image_id}.json" in rows))
        # The log that is shown where there is none beside the record.
        log = manifest.path_of(shown.directory, shown.name)
        stamps.append(files.stamp(log and log.with_name(f"{shown.name}.log")))
        for each in (shown, found.before):
            if each is not None:
                listed = manifest.path_of(each.directory, each.name)
                stamps.append(files.stamp(listed))
                stamps.append(files.stamp(listed and changes.built_path(each.directory, each.name)))
        if found.before is not None and (compared := rows.find(found.before.image_id)):
            stamps.append(rows.read(compared[0]).hex())
        return _digest(stamps).hex()

    def _make_job(self, shown: Row, found: Related, path: Path, made_from: str) -> None:
        running = not made_from
        told = b""
        try:
            job = self._spool.read(shown.image_id)
        except InputError:
            return
        except SpoolError:
            page = jobview.damaged_page(self._spool, shown.image_id, shown.error)
        else:
            try:
                page, told = jobview.page(self._spool, job, self._now, found), feeds.job_json(job)
            except Exception as error:
                # As with its line: it stops no other's.
                reason = f"its page cannot be made: {type(error).__name__}: {error}"
                page = jobview.damaged_page(self._spool, shown.image_id, reason)
        beside = None if f"{shown.image_id}.json" in self._ledger.rows else Path(f"{path.parent}.json")
        if beside and told:
            if beside.is_dir():
                # The page of a job that has gone, whose id was this one's and `.json`.
                self._out.remove_job(beside)
            self._out.put(beside, told, page=False)
        self._log_parts(page, path.parent)
        values = {"page": page, "spool": self._spool.root}
        self._refreshing("job.html.j2", path, running, values, root="../../", fingerprint=made_from)
        if beside and not told:
            self._out.remove(beside)

    def _log_parts(self, page: jobview.JobPage, directory: Path) -> None:
        """Pages of the log; of one that grows, those that have grown."""
        found = page.log_parts
        stamp = files.stamp(Path(page.log_path)).split(" ")[:-2] if found else []
        for at, part in enumerate(found):
            path = directory / part.href
            beside = [each.stem for each in found[max(0, at - 1) : at + 2]]
            made_from = _digest([render.code_fingerprint(), *stamp, page.title, repr(part), *beside]).hex()
            if files.fingerprint(path) != made_from:
                shown = logparts.page(Path(page.log_path), found, at)
                values = {"page": page, "it": shown}
                self._out.put(path, render.render("logpart.html.j2", values, root="../../", fingerprint=made_from))
        self._out.remove_others(directory, {"index", "still", *(each.stem for each in found)}.__contains__)

    def _name(self, name: str, group: Group) -> None:
        stem = related.place_of(name)
        path = self._target / "names" / f"{stem}.html"
        stamps = [render.code_fingerprint(), f"{group.digest:x}"]
        for last in namepage.interesting(group):
            stamps.append(files.stamp(manifest.path_of(last.directory, last.name)) if last else "")
        made_from = _digest(stamps).hex()
        if not self._fits(path, made_from):
            self._do(path, functools.partial(self._make_name, name, stem, group, path, made_from))

    def _make_name(self, name: str, stem: str, group: Group, path: Path, made_from: str) -> None:
        self._out.put(self._target / "badges" / f"{stem}.svg", feeds.badge(name, group), page=False)
        page = namepage.page(self._spool, name, group)
        made = render.render(
            "name.html.j2", {"page": page, "stem": stem, "spool": self._spool.root}, root="../", fingerprint=made_from
        )
        self._out.put(path, made)

    def _months(self, months: Sequence[index.Month]) -> None:
        for month in months:
            path = self._target / month.href
            made_from = _digest([render.code_fingerprint(), *(f"{day.digest:x}" for day in month.days)]).hex()
            if not self._fits(path, made_from):
                self._do(path, functools.partial(self._make_month, month, path, made_from))

    def _make_month(self, month: index.Month, path: Path, made_from: str) -> None:
        self._out.put(path, render.render("month.html.j2", {"month": month}, root="../", fingerprint=made_from))

    def _page(self, name: str, template: str, values: Mapping[str, object]) -> None:
        made = render.render(template, values, root="")
        path = self._target / name
        self._do(path, functools.partial(self._out.put, path, made))

    def _fits(self, path: Path, made_from: str) -> bool:
        """Whether the page at `path` is made from just that."""
        if files.fingerprint(path) != made_from:
            return False
        self._out.keep()
        return True

    def _do(self, path: Path, make: Callable[[], None]) -> None:
        """Make a page: now where there is none, after all of these where there is one, which can lead to them."""
        if path.exists():
            self._later.append(make)
        else:
            make()

    def _refreshing(
        self, template: str, path: Path, running: bool, values: dict[str, object], *, root: str, fingerprint: str = ""
    ) -> None:
        """A page that loads itself anew while it shows running work."""
        if running:
            # The same page at rest: to select text in, or for whom a page that moves is hard to read (WCAG 2.2.1).
            still = render.render(template, values, root=root)
            self._out.put(path.with_name("still.html"), still)
        refresh = REFRESH if running else 0
        self._out.put(path, render.render(template, values, root=root, fingerprint=fingerprint, refresh=refresh))

    def _feeds(self, arranged: index.Index) -> None:
        for name, content in (
            ("index.json", feeds.index_json(arranged)),
            ("feed.atom", feeds.atom(arranged)),
            ("metrics.prom", feeds.metrics(arranged, self._ledger.names)),
        ):
            self._out.put(self._target / name, content, page=False)

    # ---- removing

    def _remove(self, changed: Sequence[Row], arranged: index.Index, *, whole: bool) -> None:
        rows, names = self._ledger.rows, self._ledger.names
        if not arranged.running:
            self._out.remove(self._target / "still.html")
        jobs = self._target / "jobs"
        looked = map(rows.row, rows.slots()) if whole else map(rows.get, {each.image_id for each in changed})
        for each in looked:
            still = f"{jobs}/{each.image_id}/still.html" if each is not None and each.state.slug != "building" else ""
            if still and os.path.lexists(still):
                self._out.remove(Path(still))
        if whole or any(each.state.slug in ENDED for each in changed):
            months = {page.name for month in arranged.months for page in month.pages}
            self._out.remove_others(self._target / "months", months.__contains__)
        if whole:
            self._out.remove_others(jobs, rows.__contains__, deep=True)
            stems = {related.place_of(name) for name in names}
            for directory in ("names", "badges"):
                self._out.remove_others(self._target / directory, stems.__contains__)
            self._out.sweep()
        else:
            for image_id in self._gone:
                self._out.remove_job(jobs / image_id)
            for name in {each.name for each in changed} - names.keys():
                self._out.remove(self._target / "names" / f"{related.place_of(name)}.html")
                self._out.remove(self._target / "badges" / f"{related.place_of(name)}.svg")


def _sources(directory: Path) -> bytes:
    """Changes with anything in a job's directory that is shown of a job at rest."""
    # Paths as text here and below: joining them would take as long as looking at the files.
    return _digest(files.stamp(f"{directory}/{name}") for name in _SOURCES)


def _digest(texts: Iterable[str]) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
