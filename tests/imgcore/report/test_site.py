# SPDX-License-Identifier: GPL-2.0-or-later
"""How the site is kept: replaced, kept, removed; interrupted, written by two, in the way of others."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from imgcore.errors import InputError, SpoolError
from imgcore.job import Status
from imgcore.report import render, site, write
from imgcore.spool import Spool
from tests.support import report_spool as jobs
from tests.support.html import Page, broken_links, parse
from tests.support.records import damage


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "d-1", tmp_path / "images")
    jobs.make(spool, "w-1")
    return spool


def state(target: Path) -> dict[str, tuple[int, int]]:
    """Which file (inode) of which time each page is."""
    return {
        str(path.relative_to(target)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(target.rglob("*.*"))
    }


def content(target: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(target)): path.read_bytes() for path in sorted(target.rglob("*.*")) if path.is_file()
    }


@pytest.mark.parametrize("changed", ["report/site.py", "report/job.html.j2", "outcome.py"])
def test_all_pages_are_made_anew_when_the_code_that_makes_them_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / changed).write_text("old")
    monkeypatch.setattr(render, "_HERE", tmp_path / "report")
    before = render.code_fingerprint.__wrapped__()
    assert before == render.code_fingerprint.__wrapped__()
    (tmp_path / changed).write_text("new")
    assert before != render.code_fingerprint.__wrapped__()


def test_the_first_time_everything_is_written_the_second_time_nothing(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    first = write(spool, target, now=jobs.NOW)
    assert first == site.Site(target / "index.html", written=6, kept=0, removed=0)
    before = state(target)
    assert write(spool, target) == site.Site(target / "index.html", written=0, kept=6, removed=0)
    assert state(target) == before


def test_a_page_of_a_job_at_rest_is_not_even_made_again(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spool, tmp_path / "site", now=jobs.NOW)
    made: list[str] = []
    real = site.jobview.page
    monkeypatch.setattr(
        site.jobview, "page", lambda spool, job, *more: made.append(job.image_id) or real(spool, job, *more)
    )
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert made == []
    with spool.edit("w-1") as edit:
        edit.update(tags=("urgent",))
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert made == ["w-1"]


@pytest.mark.parametrize("changed", ["record", "log", "kickstart", "manifest", "history"])
def test_whatever_of_a_job_changes_its_page_changes(spool: Spool, tmp_path: Path, changed: str) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    before = content(target)
    place = spool.directory("d-1")
    if changed == "record":
        with spool.edit("d-1") as edit:
            edit.update(warnings=("something new",))
    else:
        path = {
            "log": place / "build.log",
            "kickstart": place / "kickstart.ks",
            "manifest": Path(spool.read("d-1").directory) / "d-1.manifest.json",
            "history": place / "events.jsonl",
        }[changed]
        with path.open("a") as file:
            file.write("something new\n")
    done = write(spool, target, now=jobs.NOW)
    assert done.written >= 1
    after = content(target)
    assert after["jobs/d-1/index.html"] != before["jobs/d-1/index.html"]
    assert after["jobs/w-1/index.html"] == before["jobs/w-1/index.html"]


def test_an_incremental_site_is_the_same_as_a_new_one(spool: Spool, tmp_path: Path) -> None:
    write(spool, tmp_path / "site", now=jobs.NOW)
    with spool.start("w-1") as claim:
        write(spool, tmp_path / "site", now=jobs.NOW)
        claim.finish(Status.ERROR, "no", error="no")
    jobs.make(spool, "w-2")
    write(spool, tmp_path / "site", now=jobs.NOW)
    write(spool, tmp_path / "new", now=jobs.NOW)
    assert content(tmp_path / "site") == content(tmp_path / "new")


def test_pages_of_jobs_that_are_gone_are_removed(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    spool.set_aside("d-1", "no longer wanted")
    done = write(spool, target, now=jobs.NOW)
    assert done.removed == 2  # its own, and that of its name
    assert not (target / "jobs/d-1").exists()
    assert not (target / "jobs/d-1.json").exists()
    assert not (target / "names/d.html").exists()
    assert not (target / "badges/d.svg").exists()
    assert (target / "jobs/w-1/index.html").exists()


def test_the_still_page_goes_when_the_job_has_ended(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with spool.start("w-1") as claim:
        write(spool, target, now=jobs.NOW)
        assert (target / "jobs/w-1/still.html").exists()
        claim.finish(Status.ERROR, error="no")
    write(spool, target, now=jobs.NOW)
    assert not (target / "jobs/w-1/still.html").exists()


def test_what_is_not_ours_is_neither_replaced_nor_removed(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    mine = [
        target / "jobs/notes/index.html",
        target / "jobs/notes.txt",
        target / "about.html",
        target / "months/a.html",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("<p>mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "index.html").write_bytes((target / "index.html").read_bytes())
    (target / "jobs/linked").symlink_to(elsewhere)
    write(spool, target, now=jobs.NOW)
    assert [path.read_text() for path in mine] == ["<p>mine"] * 4
    assert (elsewhere / "index.html").exists()


def test_a_file_of_somebody_else_where_one_of_ours_belongs_is_refused_and_stays(spool: Spool, tmp_path: Path) -> None:
    write(spool, tmp_path / "whole", now=jobs.NOW)
    names = [name for name in content(tmp_path / "whole") if not name.startswith(".")]
    assert {"imager.css", "imager.js", "job.schema.json", "feed.atom", "metrics.prom", "badges/d-1.svg"} <= {*names}
    names.remove("index.html")
    for number, name in enumerate([*names, "index.html"]):
        path = tmp_path / f"www-{number}" / name
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        with pytest.raises(InputError, match=f"{name} is not a page of Imager's"):
            write(spool, tmp_path / f"www-{number}", now=jobs.NOW)
        assert path.read_text() == "mine"
        # What was begun is no hindrance once it is out of the way.
        path.unlink()
        write(spool, tmp_path / f"www-{number}", now=jobs.NOW)
    # Of another version, whose first write was interrupted.
    (tmp_path / "whole/index.html").unlink()
    for name in names:
        with (tmp_path / "whole" / name).open("a") as file:
            file.write("\n")
    write(spool, tmp_path / "whole", now=jobs.NOW)


def test_a_site_of_the_first_release_whose_style_sheet_does_not_say_whose_it_is_is_brought_up(
    spool: Spool, tmp_path: Path
) -> None:
    write(spool, tmp_path / "site", now=jobs.NOW)
    before = content(tmp_path / "site")
    for name in ("imager.css", "imager.js"):
        (tmp_path / "site" / name).write_text("/* old */")
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert content(tmp_path / "site") == before


def test_somebody_elses_index_is_refused_in_one_sentence(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/index.html").write_text("<h1>My home page</h1>")
    with pytest.raises(InputError, match="is not a page of Imager's"):
        write(spool, tmp_path / "www")
    assert (tmp_path / "www/index.html").read_text() == "<h1>My home page</h1>"


@pytest.mark.parametrize("left", [b"", b"\0" * 4096, None])
def test_a_page_cut_off_by_a_power_cut_is_made_again(spool: Spool, tmp_path: Path, left: bytes | None) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    whole = content(target)
    for name in ("index.html", "jobs/d-1/index.html"):
        (target / name).write_bytes(whole[name][:900] if left is None else left)
    write(spool, target, now=jobs.NOW)
    assert content(target) == whole


def test_where_nothing_can_be_written_an_error_names_the_place_and_a_remedy(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"report cannot be written: .*file") as caught:
        write(spool, tmp_path / "file")
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


_WRITER = """
import shutil, sys
shutil.disk_usage = lambda place: shutil._ntuple_diskusage(100 << 30, 60 << 30, 40 << 30)
from pathlib import Path
from urllib.parse import unquote, urlsplit
from imgcore.report import write
from imgcore.spool import Spool
write(Spool(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_two_writers_at_once_do_no_harm(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    for number in range(12):
        jobs.make(spool, f"many-{number}")
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(spool.root), str(target)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for each in writers:
        _, said = each.communicate(timeout=60)
        assert (each.returncode, said) == (0, b"")
    write(spool, tmp_path / "alone")
    assert content(target) == content(tmp_path / "alone")


def test_a_writer_waits_for_the_one_that_is_at_work(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    with (target / ".imager-report.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs.make(spool, "w-2")
        waiting = threading.Thread(target=write, args=(spool, target))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert not (target / "jobs/w-2").exists()
    waiting.join(30)
    assert (target / "jobs/w-2/index.html").exists()


def killed_writer(spool: Spool, target: Path, renames: int) -> bool:
    """Whether a writer that is killed (SIGKILL) after so many renames came to its end before."""
    pid = os.fork()
    if pid == 0:
        left = [renames]
        real = Path.rename

        def rename(self: Path, other: Path) -> Path:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(self, other)

        Path.rename = rename  # type: ignore[method-assign,assignment]
        write(spool, target, now=jobs.NOW)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def reachable(site: Path) -> list[Page]:
    """The pages to which there is a way from the index."""
    found: dict[Path, Page] = {}
    waiting = [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = parse(path)
        for link in found[path].links:
            target = (path.parent / unquote(urlsplit(link).path)).resolve()
            if not urlsplit(link).scheme and target.suffix == ".html" and target.is_file():
                waiting.append(target)
    return list(found.values())


def test_after_a_kill_before_any_replacement_no_page_is_half_and_the_next_writer_completes_the_site(
    spool: Spool, tmp_path: Path
) -> None:
    write(spool, tmp_path / "before", now=jobs.NOW)
    spool.set_aside("w-1", "gone")
    jobs.make(spool, "w-2")
    with spool.edit("d-1") as edit:
        edit.update(warnings=("new",))
    write(spool, tmp_path / "after", now=jobs.NOW)
    kills = 0
    while True:
        target = tmp_path / f"site-{kills}"
        shutil.copytree(tmp_path / "before", target)
        ended = killed_writer(spool, target, kills)
        for page in reachable(target):
            assert page.faults == []
            assert broken_links(page, target) == []
        write(spool, target, now=jobs.NOW)
        assert content(target) == content(tmp_path / "after")
        if ended:
            break
        kills += 1
    # Of d-1 and w-2 page and JSON, of w-2 name and badge, the index, JSON, Atom; the failures are as before.
    assert kills >= 8


def test_a_reader_never_finds_half_a_page(spool: Spool, tmp_path: Path) -> None:
    target = tmp_path / "site"
    write(spool, target, now=jobs.NOW)
    stop = threading.Event()
    halves: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            found = (target / "jobs/w-1/index.html").read_bytes()
            if not found.startswith(b"<!DOCTYPE html>") or not found.rstrip().endswith(b"-->"):
                halves.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(40):
            with spool.edit("w-1") as edit:
                edit.update(tags=(f"t{number}" * 500,))
            write(spool, target, now=jobs.NOW)
    finally:
        stop.set()
        reader.join()
    assert halves == []


def test_a_job_that_is_removed_while_the_report_is_written_is_passed_over(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ids", lambda *statuses: ["d-1", "gone-1", "not a name", "w-1"])
    assert write(spool, tmp_path / "site", now=jobs.NOW).written == 6


def same_as_new(spool: Spool, report: site.Report, *changed: str) -> bool:
    """Whether the site, told of what changed (of nothing: it looks at all), is that which is made anew."""
    report.update(changed or None, now=jobs.NOW)
    target = spool.root.parent / "new"
    shutil.rmtree(target, ignore_errors=True)
    write(spool, target, now=jobs.NOW)
    return content(spool.root.parent / "site") == content(target)


@pytest.mark.parametrize("told", [("d-1",), ()], ids=["told of it", "looking at all"])
def test_a_job_whose_record_becomes_damaged_loses_its_json(spool: Spool, tmp_path: Path, told: tuple[str]) -> None:
    report = site.Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    damage(spool, "d-1")
    assert same_as_new(spool, report, *told)


def test_a_published_log_that_changes_or_goes_is_shown_as_it_is(spool: Spool, tmp_path: Path) -> None:
    spool.log("d-1").unlink()
    log = Path(spool.read("d-1").directory) / "d-1.log"
    for text in ("one\n", "another\n", ""):
        report = site.Report(spool, tmp_path / "site")
        report.update(now=jobs.NOW)
        log.write_text(text) if text else log.unlink()
        assert same_as_new(spool, report)


@pytest.mark.parametrize("told", [("d-3",), ()], ids=["told of it", "looking at all"])
def test_an_attempt_that_is_started_again_has_its_new_start_on_the_pages_of_the_others(
    spool: Spool, tmp_path: Path, told: tuple[str]
) -> None:
    jobs.make(spool, "d-2", retry_of="d-1", attempt=2)
    jobs.make(spool, "d-3", retry_of="d-2", attempt=3)
    with spool.start("d-3") as claim:
        claim.update(started_at="2025-11-24T11:30:00.000000Z")
        report = site.Report(spool, tmp_path / "site")
        report.update(now=jobs.NOW)
        claim.update(started_at="2025-11-24T11:40:00.000000Z")
        assert same_as_new(spool, report, *told)
        assert "11:40" in (tmp_path / "site/jobs/d-1/index.html").read_text()


@pytest.mark.parametrize("told", [("d-1.json",), ()], ids=["told of it", "looking at all"])
def test_a_job_whose_id_is_that_of_another_and_json_comes_and_goes(
    spool: Spool, tmp_path: Path, told: tuple[str]
) -> None:
    report = site.Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    jobs.make(spool, "d-1.json")
    assert same_as_new(spool, report, *told)
    spool.set_aside("d-1.json", "gone")
    assert same_as_new(spool, report, *told)
    assert (tmp_path / "site/jobs/d-1.json").is_file()


@pytest.mark.parametrize("part", ["jobview", "row"])
def test_a_job_that_nobody_thought_of_stops_no_other(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    module, name = {"jobview": (site.jobview, "page"), "row": (site, "row")}[part]
    real = getattr(module, name)

    def fails(*given: object, **more: object) -> object:
        if "d-1" in [getattr(each, "image_id", "") for each in given]:
            raise OverflowError("too much")
        return real(*given, **more)

    monkeypatch.setattr(module, name, fails)
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert "OverflowError: too much" in parse(tmp_path / "site" / "jobs/d-1/index.html").text or part == "row"
    assert "w-1" in parse(tmp_path / "site/jobs/w-1/index.html").text
    assert broken_links(parse(tmp_path / "site/index.html"), tmp_path / "site") == []


@pytest.mark.parametrize("name", ["n" * 300, "closed"])
def test_images_where_nobody_may_look_stop_no_page(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = tmp_path / name
    later = "2025-11-24T11:30:00.000000Z"
    jobs.make(spool, "x-1", directory=f"{place}/x-1", logfile_url="http://h/x.log", requested_at=later)
    real = os.stat

    def closed(path: object, *given: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(f"{place}/"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *given, **more)  # type: ignore[call-overload, no-any-return]

    if name == "closed":
        monkeypatch.setattr(os, "stat", closed)
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert "x-1" in parse(tmp_path / "site/index.html").text


def test_names_that_look_the_same_are_one_series_for_prometheus(spool: Spool, tmp_path: Path) -> None:
    for image_id, name in (("x-1", "x\x01"), ("x-2", "x\\x01")):
        jobs.finished(spool, image_id, tmp_path / "images", name=name)
    write(spool, tmp_path / "site", now=jobs.NOW)
    series = [line.rpartition(" ")[0] for line in (tmp_path / "site/metrics.prom").read_text().splitlines()]
    assert len(series) == len({*series}) > 5
