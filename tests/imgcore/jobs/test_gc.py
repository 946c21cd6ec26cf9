# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/gc.py: what goes, what never goes, and that a removal may be cut short anywhere."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imgcore.errors import ImagerError, SpoolError
from imgcore.job import Status, timestamp
from imgcore.jobs import fsck, gc
from imgcore.jobs.gc import Policy
from imgcore.jobs.selection import Selection
from imgcore.spool import Spool
from tests.support.crash import run_to
from tests.support.records import add


def ended(
    spool: Spool, base: Path, image_id: str, status: Status = Status.DONE, *, days: float = 9, **fields: Any
) -> Path:
    """A job that ended so many days ago, with a published file of 100 kB; where that is."""
    when = timestamp(datetime.now(UTC) - timedelta(days=days))
    files = base / fields.get("prefix", "requests") / image_id
    files.mkdir(parents=True)
    (files / "tiny.raw").write_bytes(b"x" * 100_000)
    add(spool, image_id, requested_at=when, **fields)
    with spool.start(image_id) as claim:
        claim.finish(status, directory=str(files), finished_at=when, started_at=when)
    return files


def planned(spool: Spool, base: Path, policy: Policy) -> list[str]:
    return [each.job.image_id for each in gc.plan(spool, policy, [base]) if not each.spared]


ALL = Policy()


def test_the_last_good_image_of_each_kind_stays_whatever_came_after_it(spool: Spool, tmp_path: Path) -> None:
    ended(spool, tmp_path, "a-1", days=5)
    ended(spool, tmp_path, "a-2", days=4)
    ended(spool, tmp_path, "a-3", Status.ERROR, days=3)
    ended(spool, tmp_path, "b-1", days=5, arch="aarch64")
    ended(spool, tmp_path, "c-1", days=5, image_type="fs")
    ended(spool, tmp_path, "d-1", days=5, prefix="releases/1")
    assert planned(spool, tmp_path, ALL) == ["a-1", "a-3"]


def test_a_job_that_was_imported_does_not_stand_for_the_image_of_one_that_has_it(
    spool: Spool, tmp_path: Path
) -> None:
    ended(spool, tmp_path, "a-1", days=9)
    ended(spool, tmp_path, "a-2", days=5)
    later = timestamp(datetime.now(UTC) - timedelta(days=1))
    add(spool, "a-3", requested_at=later)
    spool.start("a-3").finish(Status.DONE, directory="", finished_at=later, started_at=later)
    assert planned(spool, tmp_path, ALL) == ["a-1", "a-3"]


def test_what_waits_runs_is_pinned_or_may_be_asked_for_again_stays(spool: Spool, tmp_path: Path) -> None:
    for number, fields in enumerate(({"pinned": True}, {"request_step": "a!b!c"}, {"step": "a!b!d"}, {})):
        ended(spool, tmp_path, f"a-{number}", days=0.5, **fields)
    ended(spool, tmp_path, "a-8", days=2, step="a!b!e")
    ended(spool, tmp_path, "a-9", days=0.1)
    add(spool, "waits")
    add(spool, "runs")
    with spool.start("runs"):
        assert planned(spool, tmp_path, ALL) == ["a-8", "a-3"]


@pytest.mark.parametrize(
    ("policy", "going"),
    [
        (Policy(before=datetime.now(UTC) - timedelta(days=5.5)), ["a-7", "a-6"]),
        (Policy(keep=3), ["a-7", "a-6", "a-5", "a-4"]),
        (Policy(keep=1, before=datetime.now(UTC) - timedelta(days=5.5)), ["a-7", "a-6"]),
        (Policy(Selection(states=(Status.ERROR,))), ["a-6", "a-4", "a-2"]),
        (Policy(Selection(states=(Status.ERROR,)), keep=1), ["a-6", "a-4"]),
        (Policy(Selection(names=("b*",))), []),
        (Policy(most_bytes=0), ["a-7", "a-6", "a-5", "a-4", "a-3", "a-2"]),
        (Policy(most_bytes=1 << 30), []),
    ],
)
def test_a_job_goes_that_fits_all_that_is_said(
    spool: Spool, tmp_path: Path, policy: Policy, going: list[str]
) -> None:
    for number in range(1, 8):
        ended(spool, tmp_path, f"a-{number}", Status.DONE if number % 2 else Status.ERROR, days=number)
    assert planned(spool, tmp_path, policy) == going


def test_of_too_many_bytes_as_many_of_the_oldest_go_as_it_takes(spool: Spool, tmp_path: Path) -> None:
    for number in range(1, 6):
        ended(spool, tmp_path, f"a-{number}", days=number)
    total = sum(gc.used(spool.directory(f"a-{n}")) + gc.used(tmp_path / f"requests/a-{n}") for n in range(1, 6))
    assert planned(spool, tmp_path, Policy(most_bytes=total - 1)) == ["a-5"]
    assert planned(spool, tmp_path, Policy(most_bytes=total - 110_000)) == ["a-5"]
    assert planned(spool, tmp_path, Policy(most_bytes=total - 150_000)) == ["a-5", "a-4"]


def test_a_job_that_was_pinned_since_the_plan_stays(spool: Spool, tmp_path: Path) -> None:
    files = ended(spool, tmp_path, "a-1")
    ended(spool, tmp_path, "a-2", days=1)
    (candidate,) = gc.plan(spool, ALL, [tmp_path])
    with spool.edit("a-1") as edit:
        edit.note("pinned", pinned=True)
    assert gc.remove(spool, candidate, [tmp_path]) == 0
    assert spool.read("a-1").pinned
    assert files.is_dir()


def test_files_are_only_removed_where_they_are_the_jobs_own(spool: Spool, tmp_path: Path) -> None:
    base, outside = tmp_path / "base", tmp_path / "outside"
    keep = ended(spool, outside, "elsewhere", days=3)
    ended(spool, base, "last", days=1)
    linked = ended(spool, base, "linked", days=4)
    shutil.move(linked, outside / "moved")
    linked.symlink_to(outside / "moved")
    hostile = [("up", "../outside/requests"), ("root", "/etc"), ("link", "out")]
    (base / "out").symlink_to(outside)
    for image_id, prefix in hostile:
        files = outside / image_id
        files.mkdir()
        add(spool, image_id, prefix=prefix, requested_at="2026-01-01T00:00:00Z")
        with spool.start(image_id) as claim:
            claim.finish(Status.ERROR, directory=str(files))
    plan = gc.plan(spool, ALL, [base])
    assert [each.files for each in plan] == [None] * 5
    assert all(each.spared for each in plan)
    for each in plan:
        gc.remove(spool, each, [base])
    assert keep.is_dir()
    assert (outside / "moved/tiny.raw").is_file()
    assert all((outside / image_id).is_dir() for image_id, _ in hostile)


@pytest.mark.parametrize("directory", ["/no\0where", f"/{'n' * 300}"])
def test_a_job_whose_files_are_where_none_can_be_goes_alone(spool: Spool, tmp_path: Path, directory: str) -> None:
    files = ended(spool, tmp_path, "a-1")
    ended(spool, tmp_path, "a-2", days=1)
    with spool.edit("a-1") as edit:
        edit.update(directory=directory)
    (only,) = gc.plan(spool, ALL, [tmp_path])
    assert (only.job.image_id, only.files, only.spared) == ("a-1", None, "")
    assert gc.remove(spool, only, [tmp_path])
    assert files.exists()


def test_a_file_with_another_name_too_frees_nothing(spool: Spool, tmp_path: Path) -> None:
    files = ended(spool, tmp_path, "a-1")
    ended(spool, tmp_path, "a-2", days=1)
    (before,) = gc.plan(spool, ALL, [tmp_path])
    (tmp_path / "another").hardlink_to(files / "tiny.raw")
    (after,) = gc.plan(spool, ALL, [tmp_path])
    assert before.bytes - after.bytes == (tmp_path / "another").stat().st_blocks * 512
    assert gc.remove(spool, after, [tmp_path]) == after.bytes


def test_one_makes_room_at_a_time(spool: Spool) -> None:
    with gc.alone(spool), pytest.raises(ImagerError, match="another process"), gc.alone(spool):
        pass


def test_a_removal_that_is_killed_at_any_step_is_brought_to_its_end(tmp_path: Path) -> None:
    for step in itertools.count():
        place = tmp_path / str(step)
        spool, base = Spool(place / "spool"), place / "images"
        ended(spool, base, "a-1", step="x!y!z")
        ended(spool, base, "a-2", days=1)

        def removing(spool: Spool = spool, base: Path = base) -> Iterator[Any]:
            for each in gc.plan(spool, ALL, [base]):
                yield gc.remove(spool, each, [base])

        outcome = run_to(step, removing)
        # It is all there, or it is gone; what is left has a place where it is found.
        there = spool.directory("a-1").is_dir()
        assert (base / "requests/a-1/tiny.raw").is_file() or not there
        if there:
            assert spool.read("a-1").status is Status.DONE
        for each in gc.interrupted(spool):
            gc.resume(spool, each, [base])
        for each in gc.plan(spool, ALL, [base]):
            gc.remove(spool, each, [base])
        assert sorted(each.name for each in (base / "requests").iterdir()) == ["a-2"]
        assert list(spool.removed.iterdir()) == []
        assert spool.ids() == ["a-2"]
        assert fsck.check(spool, [base]) == []
        shutil.rmtree(place)
        if not outcome.killed:
            break
    assert step > 8


def test_an_interrupted_removal_whose_files_are_elsewhere_waits_until_that_place_is_named(
    spool: Spool, tmp_path: Path
) -> None:
    files = ended(spool, tmp_path / "else", "a-1")
    assert spool.take_out("a-1", gc.may_go)
    with pytest.raises(SpoolError, match=f"its files are elsewhere, in {files}.*--outdir"):
        gc.resume(spool, "a-1", [tmp_path / "images"])
    assert (gc.interrupted(spool), files.is_dir()) == (["a-1"], True)
    assert gc.resume(spool, "a-1", [tmp_path / "images", tmp_path / "else"]) > 100_000
    assert (gc.interrupted(spool), files.exists()) == ([], False)


def test_jobs_are_made_built_and_read_while_others_are_removed(spool: Spool, tmp_path: Path) -> None:
    for number in range(40):
        ended(spool, tmp_path, f"old-{number}", Status.ERROR)
    stop = threading.Event()
    wrong: list[BaseException] = []

    def busy(who: int) -> None:
        try:
            for number in itertools.count():
                if stop.is_set():
                    return
                add(spool, f"new-{who}-{number}")
                with spool.start(f"new-{who}-{number}") as claim:
                    claim.finish(Status.DONE)
                list(itertools.islice(spool.newest(), 30))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=busy, args=(who,)) for who in range(2)]
    for each in threads:
        each.start()
    policy = Policy(Selection(states=(Status.ERROR,)))
    removed = [each for each in gc.plan(spool, policy, [tmp_path]) if gc.remove(spool, each, [tmp_path])]
    stop.set()
    for each in threads:
        each.join()
    assert wrong == []
    assert len(removed) == 40
    assert not any(image_id.startswith("old") for image_id in spool.ids())
    assert fsck.check(spool, [tmp_path]) == []
