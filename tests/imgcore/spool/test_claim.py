# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/spool/claim.py and queue.py."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from imgcore.errors import BuildError, Cancelled, InputError, SpoolError
from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.records import add, child

# ---- rule 5: never BUILDING for ever


def test_a_job_whose_worker_was_killed_is_failed_with_that_reason(spool: Spool) -> None:
    add(spool)
    with child(
        spool, "claim = spool.claim()\nclaim.update(phase='install')\nprint('x', flush=True)\ntime.sleep(60)"
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert spool.recover("tiny-1") is None
        assert spool.recover_all() == []
        process.kill()
        process.wait()
    (job,) = spool.recover_all()
    assert (job.status, job.error_cause) == (Status.ERROR, "killed")
    assert f"process {process.pid} on " in job.error and "in phase install" in job.error
    assert spool.ids(Status.BUILDING) == []
    assert spool.recover("tiny-1") is None


def test_a_job_whose_worker_was_killed_can_be_queued_again_and_built(spool: Spool) -> None:
    add(spool)
    spool.start("tiny-1").close()
    job = spool.recover("tiny-1", requeue=True)
    assert job is not None and (job.status, job.worker, job.started_at) == (Status.IN_QUEUE, {}, "")
    claim = spool.claim()
    assert claim is not None
    claim.finish(Status.DONE)
    assert [event["to"] for event in spool.history("tiny-1")] == [
        "IN QUEUE",
        "BUILDING",
        "IN QUEUE",
        "BUILDING",
        "DONE",
    ]


def told_of(spool: Spool, worker: dict[str, Any]) -> None:
    add(spool)
    with spool.edit("tiny-1") as edit:
        edit.move(Status.BUILDING, worker=worker)


def test_a_worker_of_another_machine_is_not_taken_for_dead(spool: Spool) -> None:
    told_of(spool, {"host": "elsewhere", "pid": 1})
    assert spool.recover_all() == []
    assert spool.recover("tiny-1") is None
    assert spool.read("tiny-1").status is Status.BUILDING


def test_a_worker_of_this_machine_may_hold_the_lock_of_another_spool(spool: Spool, tmp_path: Path) -> None:
    other = Spool(tmp_path / "another")
    add(other)
    with child(other, "claim = spool.claim()\nprint('x', flush=True)\ntime.sleep(60)") as process:
        assert process.stdout is not None and process.stdout.readline()
        told_of(spool, dict(other.read("tiny-1").worker))
        assert spool.recover("tiny-1") is None
        process.kill()
        process.wait()
    assert spool.recover("tiny-1") is not None


def test_a_job_that_a_step_will_ask_for_again_is_left_to_it(spool: Spool) -> None:
    add(spool, step="w!s!0")
    spool.start("tiny-1").close()
    assert spool.recover_all() == []
    assert spool.recover("tiny-1", requeue=True) is not None


def test_who_cancelled_a_build_has_the_last_word_on_why(spool: Spool) -> None:
    add(spool)
    with spool.start("tiny-1") as claim:
        with spool.edit("tiny-1") as edit:
            edit.move(Status.CANCELLED, error="not now", error_cause="cancelled")
        claim.finish(Status.CANCELLED, error="the build was cancelled", error_remedy="?", warnings=["w"])
    job = spool.read("tiny-1")
    assert (job.error, job.error_remedy, job.warnings) == ("not now", "", ("w",))


def test_a_job_that_is_being_built_is_not_put_back_in_the_queue(spool: Spool) -> None:
    add(spool)
    with spool.start("tiny-1") as claim:
        with spool.edit("tiny-1") as edit, pytest.raises(InputError, match="is being built"):
            edit.move(Status.IN_QUEUE)
        claim.finish(Status.DONE)


@pytest.mark.parametrize(
    ("error", "status", "text", "cause"),
    [
        (BuildError("no space left", "free some", "disk-full"), Status.ERROR, "no space left", "disk-full"),
        (ZeroDivisionError("by\nzero"), Status.ERROR, "ZeroDivisionError: by zero", "internal"),
        (KeyboardInterrupt(), Status.CANCELLED, "KeyboardInterrupt", ""),
        (Cancelled("enough"), Status.CANCELLED, "enough", ""),
        (SystemExit(3), Status.ERROR, "SystemExit: 3", "internal"),
    ],
)
def test_a_claim_that_is_left_by_an_error_ends_the_job_with_it(
    spool: Spool, error: BaseException, status: Status, text: str, cause: str
) -> None:
    add(spool)
    with pytest.raises(type(error)), spool.start("tiny-1"):
        raise error
    job = spool.read("tiny-1")
    assert (job.status, job.error, job.error_cause) == (status, text, cause)
    assert job.finished_at and not spool.alive("tiny-1")


def test_a_claim_that_is_left_without_a_result_ends_the_job_as_an_error(spool: Spool) -> None:
    add(spool)
    with spool.start("tiny-1"):
        pass
    assert (spool.read("tiny-1").status, spool.read("tiny-1").error_cause) == (Status.ERROR, "internal")


# ---- claims


def test_the_oldest_waiting_job_is_claimed_first_and_by_one_only(spool: Spool) -> None:
    for number in (2, 1):
        add(spool, f"j{number}", requested_at=f"2026-01-01T00:00:0{number}Z")
    first, second, third = spool.claim("w1"), Spool(spool.root).claim("w2"), spool.claim()
    assert first is not None and second is not None and third is None
    assert (first.image_id, second.image_id) == ("j1", "j2")
    worker = spool.read("j1").worker
    assert (worker["name"], worker["pid"]) == ("w1", os.getpid())
    assert worker["start_ticks"] > 0 and worker["host"] and worker["boot_id"]
    first.close()
    second.close()


def test_a_job_that_is_not_waiting_cannot_be_started(spool: Spool) -> None:
    add(spool)
    claim = spool.start("tiny-1")
    with pytest.raises(InputError, match="is BUILDING, not IN QUEUE"):
        spool.start("tiny-1")
    claim.finish(Status.DONE)
    with pytest.raises(InputError, match="is DONE, not IN QUEUE"):
        spool.start("tiny-1")


def test_a_job_that_somebody_edits_just_now_is_waited_for_and_claimed(spool: Spool) -> None:
    add(spool)
    held, go = threading.Event(), threading.Event()

    def edit() -> None:
        with Spool(spool.root).edit("tiny-1"):
            held.set()
            go.wait(10)

    thread = threading.Thread(target=edit)
    thread.start()
    held.wait(10)
    threading.Timer(0.1, go.set).start()
    claim = spool.claim()
    thread.join()
    assert claim is not None
    claim.close()


def test_looking_whether_a_worker_lives_keeps_nobody_from_claiming(spool: Spool) -> None:
    stop = threading.Event()

    def look() -> None:
        mine = Spool(spool.root)
        while not stop.is_set():
            for image_id in mine.ids():
                mine.alive(image_id)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(30):
            add(spool, f"j{number}")
            claim = spool.claim()
            assert claim is not None
            claim.finish(Status.DONE)
    finally:
        stop.set()
        thread.join()


def test_a_job_that_cannot_be_opened_does_not_keep_the_next_from_being_built(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(spool, "a")
    add(spool, "b")
    from imgcore.spool import queue

    real = queue.Record

    def refusing(directory: Path, index: Any) -> Any:
        if directory.name == "a":
            raise SpoolError("a cannot be read")
        return real(directory, index)

    monkeypatch.setattr(queue, "Record", refusing)
    claim = spool.claim()
    assert claim is not None and claim.image_id == "b"
    claim.close()
    with pytest.raises(SpoolError, match="a cannot be read"):
        spool.claim()


def test_a_claimed_job_can_be_tagged_and_cancelled_by_others(spool: Spool) -> None:
    add(spool)
    claim = spool.start("tiny-1")
    with Spool(spool.root).edit("tiny-1") as edit:
        edit.update(tags=("urgent",))
    assert claim.update(progress=0.5).tags == ("urgent",)
    with Spool(spool.root).edit("tiny-1") as edit:
        edit.move(Status.CANCELLED, "not needed", "jane")
    assert claim.refresh().status is Status.CANCELLED
    assert claim.update(phase="stop").status is Status.CANCELLED
    with pytest.raises(Cancelled):
        claim.finish(Status.DONE, warnings=("half",))
    job = spool.read("tiny-1")
    assert (job.status, job.phase, job.warnings) == (Status.CANCELLED, "stop", ("half",))
    assert not spool.alive("tiny-1")


def test_a_cancelled_job_is_never_claimed(spool: Spool) -> None:
    add(spool)
    with spool.edit("tiny-1") as edit:
        edit.move(Status.CANCELLED)
    assert spool.claim() is None
