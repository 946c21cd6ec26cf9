# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping the site fresh: what changes is seen soon, alone, and the result is what a new site would be."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.report import Report, differing, site, write
from imgcore.spool import Spool
from tests.support import report_spool as jobs

_WATCHER = """
import sys
from pathlib import Path
from imgcore.report import follow, inotify, watch
from imgcore.spool import Spool
if sys.argv[3:]:
    watch.MOST = inotify.MOST = int(sys.argv[3])
    watch.EVERYTHING = float(sys.argv[4])
follow(Spool(Path(sys.argv[1])), Path(sys.argv[2]), lambda told: print(told, flush=True))
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "d-1", tmp_path / "images")
    jobs.make(spool, "w-1")
    return spool


@pytest.fixture
def watcher(spool: Spool, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process that keeps the site fresh, has written it once and looked at everything once more.

    The parameters are how many jobs it watches, and after how many seconds it looks at everything.
    """
    argv = [sys.executable, "-c", _WATCHER, str(spool.root), str(tmp_path / "site"), *getattr(request, "param", [])]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert b"written=6" in running.stdout.readline()
    assert b"written=0" in running.stdout.readline()
    yield running
    running.kill()
    running.communicate()


def content(target: Path) -> dict[str, bytes]:
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def soon(happened: Callable[[], bool], seconds: float = 120.0) -> float:
    """How long it took."""
    start = time.monotonic()
    while not happened():
        assert time.monotonic() - start < seconds
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.mark.real
def test_a_new_job_a_change_of_state_and_of_a_field_and_a_removal_are_on_the_pages_soon(
    spool: Spool, tmp_path: Path, watcher: subprocess.Popen[bytes]
) -> None:
    target = tmp_path / "site"
    jobs.make(spool, "n-1")
    soon(lambda: (target / "jobs/n-1/index.html").exists())
    with spool.edit("n-1") as edit:
        edit.move(Status.CANCELLED, "enough")
    soon(lambda: "enough" in (target / "index.html").read_text())
    with spool.edit("d-1") as edit:
        edit.update(tags=("golden",))
    soon(lambda: "golden" in (target / "jobs/d-1/index.html").read_text())
    spool.set_aside("n-1", "gone")
    soon(lambda: not (target / "jobs/n-1").exists())
    assert differing(spool, target) == []


@pytest.mark.real
@pytest.mark.parametrize("watcher", [["0", "60"]], indirect=True, ids=["none-watched"])
def test_a_change_of_state_is_seen_soon_also_of_a_job_that_is_one_too_many_to_be_watched(
    spool: Spool, tmp_path: Path, watcher: subprocess.Popen[bytes]
) -> None:
    with spool.start("w-1", "worker-9") as claim:
        soon(lambda: "Building" in (tmp_path / "site/index.html").read_text())
        claim.finish(Status.ERROR, "no", error="no vim here")
    soon(lambda: "no vim here" in (tmp_path / "site/index.html").read_text())


@pytest.mark.real
@pytest.mark.parametrize("watcher", [["0", "1"]], indirect=True, ids=["none-watched"])
def test_what_the_kernel_does_not_tell_is_found_by_looking_at_everything(
    spool: Spool, tmp_path: Path, watcher: subprocess.Popen[bytes]
) -> None:
    with spool.edit("d-1") as edit:
        edit.update(tags=("golden",))
    soon(lambda: "golden" in (tmp_path / "site/index.html").read_text())


@pytest.mark.real
@pytest.mark.parametrize("watcher", [["1", "60"]], indirect=True, ids=["one-watched"])
def test_where_there_are_too_many_jobs_the_newest_are_watched(
    spool: Spool, tmp_path: Path, watcher: subprocess.Popen[bytes]
) -> None:
    jobs.make(spool, "n-1")
    soon(lambda: (tmp_path / "site/jobs/n-1/index.html").exists())
    with spool.edit("n-1") as edit:
        edit.update(tags=("golden",))
    soon(lambda: "golden" in (tmp_path / "site/index.html").read_text())


@pytest.mark.real
@pytest.mark.parametrize(
    ("watches", "says"),
    [
        ("8", b"the kernel lets 1 jobs be watched, the newest: a tag or a pin of others is seen later; raise fs."),
        ("3", b"inotify cannot be had (No space left on device): changes are seen later; raise fs.inotify.max_user_"),
    ],
    ids=["some", "none"],
)
def test_where_the_kernel_gives_too_few_watches_it_says_so_and_sees_jobs_come_and_change_their_state_all_the_same(
    spool: Spool, tmp_path: Path, watches: str, says: bytes
) -> None:
    limit = 'echo "$1" > /proc/sys/user/max_inotify_watches && shift && exec "$@"'
    watcher = [sys.executable, "-c", _WATCHER, str(spool.root), str(tmp_path / "site")]
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh", watches, *watcher]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert says in running.stdout.readline() + running.stdout.readline()
            soon(lambda: (tmp_path / "site/index.html").exists())
            jobs.make(spool, "n-1")
            soon(lambda: (tmp_path / "site/jobs/n-1/index.html").exists())
            with spool.edit("n-1") as edit:
                edit.move(Status.CANCELLED, "enough")
            soon(lambda: "enough" in (tmp_path / "site/index.html").read_text())
        finally:
            running.kill()


@pytest.mark.real
def test_killed_at_any_moment_it_leaves_what_the_next_one_completes(spool: Spool, tmp_path: Path) -> None:
    drawn = random.Random(7)
    for number in range(4):
        argv = [sys.executable, "-c", _WATCHER, str(spool.root), str(tmp_path / "site")]
        running = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        for more in range(3):
            jobs.make(spool, f"k-{number}-{more}")
            time.sleep(drawn.uniform(0, 0.2))
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    assert differing(spool, tmp_path / "site") == []


def test_told_of_one_job_it_looks_at_no_other(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        jobs.make(spool, f"other-{number}")
    report = Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    with spool.edit("w-1") as edit:
        edit.update(tags=("urgent",))
    looked: list[str] = []
    stamp = site.files.stamp
    monkeypatch.setattr(site.files, "stamp", lambda path: looked.append(str(path)) or stamp(path))
    done = report.update({"w-1"}, now=jobs.NOW)
    assert not any("other" in each for each in looked)
    assert done.written == 3  # its page, that of its name, the index
    write(spool, tmp_path / "new", now=jobs.NOW)
    assert content(tmp_path / "site") == content(tmp_path / "new")


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_told_step_by_step_of_what_happened_it_makes_what_a_new_site_would_be(
    spool: Spool, tmp_path: Path, seed: int
) -> None:
    drawn = random.Random(seed)
    report = Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    ids = ["d-1", "w-1"]
    for number in range(25):
        image_id = drawn.choice(ids)
        job = spool.read(image_id)
        if drawn.random() < 0.4:
            image_id = f"{drawn.choice('dwx')}-{number + 2}"
            jobs.make(spool, image_id, name=image_id[0], retry_of=drawn.choice(["", *ids]))
            ids.append(image_id)
        elif job.status is Status.IN_QUEUE:
            with spool.start(image_id, "worker") as claim:
                claim.finish(drawn.choice([Status.DONE, Status.ERROR]), error="no", error_cause="internal")
        elif drawn.random() < 0.3 and len(ids) > 3:
            spool.set_aside(image_id, "gone")
            ids.remove(image_id)
        else:
            with spool.edit(image_id) as edit:
                edit.update(tags=(f"t{number}",))
        report.update({image_id}, now=jobs.NOW)
    write(spool, tmp_path / "new", now=jobs.NOW)
    assert content(tmp_path / "site") == content(tmp_path / "new")
    before = Report(spool, tmp_path / "site").update()
    assert (before.written, before.removed) == (0, 0)


def test_what_changes_of_a_good_job_is_on_the_pages_that_compare_with_it_and_no_other(
    spool: Spool, tmp_path: Path
) -> None:
    for number in (2, 3, 4):
        jobs.make(spool, f"d-{number}", name="d")
        with spool.start(f"d-{number}", "worker") as claim:
            claim.finish(Status.DONE if number == 3 else Status.ERROR)
    with spool.edit("d-1") as edit:
        edit.update(name="d")
    report = Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    pages = [tmp_path / f"site/jobs/d-{number}/index.html" for number in (1, 2, 3, 4)]
    before = [path.stat().st_ino for path in pages]
    with spool.edit("d-1") as edit:
        edit.update(tool="mic")
    report.update({"d-1"}, now=jobs.NOW)
    assert [path.stat().st_ino != was for path, was in zip(pages, before, strict=True)] == [True, True, True, False]
    write(spool, tmp_path / "new", now=jobs.NOW)
    assert content(tmp_path / "site") == content(tmp_path / "new")


def test_when_the_first_page_has_no_room_any_more_every_month_gets_its_page_and_loses_it_again(
    spool: Spool, tmp_path: Path
) -> None:
    report = Report(spool, tmp_path / "site")
    for number in range(100):
        jobs.make(spool, f"m-{number}")
        with spool.edit(f"m-{number}") as edit:
            edit.move(Status.CANCELLED, finished_at=f"2025-{1 + number % 11:02}-03T00:00:00Z")
        report.update({f"m-{number}"} if number else None, now=jobs.NOW)
    assert len(list((tmp_path / "site/months").iterdir())) == 11
    with spool.edit("m-50") as edit:
        edit.update(tags=("golden",))
    report.update({"m-50"}, now=jobs.NOW)
    write(spool, tmp_path / "new", now=jobs.NOW)
    assert content(tmp_path / "site") == content(tmp_path / "new")
    spool.set_aside("m-50", "gone")
    report.update({"m-50"}, now=jobs.NOW)
    assert list((tmp_path / "site/months").iterdir()) == []


def test_a_page_that_was_changed_by_hand_is_found(spool: Spool, tmp_path: Path) -> None:
    write(spool, tmp_path / "site")
    path = tmp_path / "site/jobs/d-1/index.html"
    path.write_text(path.read_text().replace("Done", "Gone"))
    (tmp_path / "site/jobs/w-1.json").unlink()
    assert differing(spool, tmp_path / "site") == ["jobs/d-1/index.html", "jobs/w-1.json"]
