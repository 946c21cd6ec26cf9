# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/spool/record.py, history.py and lock.py."""

import json
import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcore import job as jobs
from imgcore.errors import InputError
from imgcore.job import Status
from imgcore.spool import Spool, history
from tests.support.disk import watch
from tests.support.records import add, child, contents, damage

# ---- rule 1: replaced, never edited


def test_whatever_changes_a_job_is_safe_on_disk_before_it_is_done(spool: Spool) -> None:
    with watch() as disk:
        add(spool)
        assert (disk.faults, disk.unsafe) == ([], [])
        with spool.edit("tiny-1") as edit:
            edit.update(tags=("a",))
            assert (disk.faults, disk.unsafe) == ([], [])
        claim = spool.claim()
        assert claim is not None
        assert (disk.faults, disk.unsafe) == ([], [])
        for number in range(3):
            claim.update(progress=number / 10)
        claim.finish(Status.DONE)
        assert (disk.faults, disk.unsafe) == ([], [])
        with spool.edit("tiny-1") as edit:
            edit.move(Status.TESTED)
        damage(spool, "tiny-1")
        spool.set_aside("tiny-1", "torn")
        assert (disk.faults, disk.unsafe) == ([], [])


def test_progress_is_one_replacement_of_the_record_and_nothing_else(spool: Spool) -> None:
    add(spool)
    claim = spool.start("tiny-1")
    claim.update(progress=0.1)
    before = contents(spool.root)
    with watch() as disk:
        claim.update(progress=0.2, progress_detail="bash")
    assert disk.calls == ["write", "fsync", "rename"]
    after = contents(spool.root)
    assert {path for path in after if after[path] != before.get(path)} == {"jobs/tiny-1/job.json"}
    claim.close()


def test_a_reader_sees_one_version_or_the_next_whatever_a_writer_does(spool: Spool) -> None:
    add(spool)
    claim = spool.start("tiny-1")
    done = threading.Event()

    def write() -> None:
        for number in range(400):
            claim.update(progress_detail=str(number) * 2000, package_count=number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    last = 0
    while not done.is_set():
        job = spool.read("tiny-1")
        assert job.progress_detail in ("", str(job.package_count) * 2000)
        assert job.revision >= last
        last = job.revision
    writer.join()
    claim.close()


# ---- rule 2: one writer at a time


def test_a_second_writer_waits_for_the_first(spool: Spool) -> None:
    add(spool)
    order: list[str] = []

    def second() -> None:
        with Spool(spool.root).edit("tiny-1") as edit:
            order.append("second")
            edit.update(tags=(*edit.job.tags, "second"))

    thread = threading.Thread(target=second)
    with spool.edit("tiny-1") as edit:
        thread.start()
        time.sleep(0.1)
        order.append("first")
        edit.update(tags=("first",))
    thread.join()
    assert order == ["first", "second"]
    assert spool.read("tiny-1").tags == ("first", "second")


def test_no_change_of_many_writers_is_lost(spool: Spool) -> None:
    add(spool)
    claim = spool.start("tiny-1")

    def tag(name: str) -> None:
        mine = Spool(spool.root)
        for number in range(10):
            with mine.edit("tiny-1") as edit:
                edit.update(tags=(*edit.job.tags, f"{name}{number}"))
            claim.update(progress_detail=name)

    threads = [threading.Thread(target=tag, args=(f"t{each}-",)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job = spool.read("tiny-1")
    assert len(set(job.tags)) == len(job.tags) == 60
    assert job.revision == 1 + 1 + 60 + 60
    claim.close()


@pytest.mark.parametrize("name", ["lock", "worker.lock"])
def test_the_lock_of_a_killed_holder_dies_with_it(spool: Spool, name: str) -> None:
    add(spool)
    hold = "with spool.edit('tiny-1'):" if name == "lock" else "with spool.start('tiny-1'):"
    with child(spool, f"{hold}\n    print('held', flush=True)\n    time.sleep(60)") as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert spool.alive("tiny-1") == (name == "worker.lock")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not spool.alive("tiny-1")
    with spool.edit("tiny-1") as edit:
        edit.update(tags=("free",))


# ---- rule 6: unknown fields survive


def test_fields_of_a_newer_version_survive_everything_that_this_one_does(spool: Spool) -> None:
    add(spool)
    path = spool.directory("tiny-1") / "job.json"
    told = json.loads(path.read_bytes())
    told |= {"schema": 7, "signature": {"key": [1, None]}, "resources": {"peak_threads": 9}}
    told["artifacts"] = [{"name": "a", "kind": "image", "size": 1, "sha256": "", "signed": True}]
    path.write_text(json.dumps(told))
    with spool.edit("tiny-1") as edit:
        edit.update(tags=("a",))
    claim = spool.claim()
    assert claim is not None
    claim.update(progress=0.5)
    claim.finish(Status.DONE)
    with spool.edit("tiny-1") as edit:
        edit.move(Status.TESTED)
    after = json.loads(path.read_bytes())
    for key in ("schema", "signature", "resources", "artifacts"):
        assert after[key] == told[key]
    assert after["status"] == "DONE, TESTED"


# ---- states


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
def test_a_transition_that_the_table_lacks_is_refused_and_leaves_the_record(
    spool: Spool, before: Status, after: Status
) -> None:
    add(spool)
    _bring_to(spool, before)
    path = spool.directory("tiny-1")
    had = contents(path)
    with spool.edit("tiny-1") as edit:
        if jobs.allowed(before, after):
            assert edit.move(after, "why", "jane", tags=("t",)).status is after
            event = spool.history("tiny-1")[-1]
            assert (event["from"], event["to"], event["reason"], event["who"]) == (
                str(before),
                str(after),
                "why",
                "jane",
            )
            assert spool.ids(after) == ["tiny-1"] and (before is after or spool.ids(before) == [])
        else:
            with pytest.raises(InputError, match=f"is {before} and cannot become {after}"):
                edit.move(after)
            assert contents(path) == had


def _bring_to(spool: Spool, status: Status) -> None:
    ways = {Status.IN_QUEUE: [], Status.BUILDING: [Status.BUILDING], Status.TESTED: [Status.BUILDING, Status.DONE]}
    with spool.edit("tiny-1") as edit:
        for step in ways.get(status, [Status.BUILDING]):
            edit.move(step)
        if edit.job.status is not status:
            edit.move(status)


@given(st.lists(st.sampled_from(Status), max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_job_walks_the_table_and_its_history_tells_the_way(spool: Spool, wanted: list[Status]) -> None:
    image_id = spool.new_id("walk")
    add(spool, image_id)
    way = [Status.IN_QUEUE]
    with spool.edit(image_id) as edit:
        for status in wanted:
            if status in jobs.TRANSITIONS[way[-1]]:
                edit.move(status)
                way.append(status)
            else:
                with pytest.raises(InputError):
                    edit.move(status)
    assert spool.read(image_id).status is way[-1]
    told = spool.history(image_id)
    assert [event["to"] for event in told] == [str(status) for status in way]
    assert [event["seq"] for event in told] == list(range(1, len(way) + 1))
    assert [status for status in Status if image_id in spool.ids(status)] == [way[-1]]


def test_what_the_spool_keeps_itself_cannot_be_changed_by_others(spool: Spool) -> None:
    add(spool)
    with spool.edit("tiny-1") as edit:
        before = edit.job
        for changes in (
            {"status": "DONE"},
            {"revision": 9},
            {"image_id": "x"},
            {"event": {}},
            {"tagz": ()},
            {"tags": 1},
        ):
            with pytest.raises(InputError):
                edit.update(**changes)
            if "status" not in changes:
                with pytest.raises(InputError):
                    edit.move(Status.CANCELLED, **changes)
    assert spool.read("tiny-1") == before


def test_the_record_has_the_times_of_its_states(spool: Spool) -> None:
    made = add(spool)
    claim = spool.start("tiny-1", "w1")
    assert (claim.job.started_at, claim.job.finished_at) == (claim.job.event["time"], "")
    done = claim.finish(Status.DONE)
    assert made.requested_at <= done.started_at <= done.finished_at <= done.updated_at
    with spool.edit("tiny-1") as edit:
        assert edit.move(Status.TESTED).finished_at == done.finished_at


# ---- history


@pytest.mark.parametrize("tail", [b"", b'{"time": "2026', b'{"seq": 2, "to": "BUILDI', b"\xff\xfe"])
def test_a_history_that_a_crash_tore_is_completed_by_the_next_transition(spool: Spool, tail: bytes) -> None:
    add(spool)
    spool.start("tiny-1").close()
    path = spool.directory("tiny-1") / "events.jsonl"
    first = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first + tail)
    assert [event["to"] for event in spool.history("tiny-1")] == ["IN QUEUE", "BUILDING"]
    spool.recover("tiny-1")
    lines = path.read_text().splitlines()
    assert [json.loads(line)["to"] for line in lines] == ["IN QUEUE", "BUILDING", "ERROR"]


def test_the_history_is_only_ever_appended_to(spool: Spool) -> None:
    add(spool)
    path = spool.directory("tiny-1") / "events.jsonl"
    before = path.read_bytes()
    for act in (lambda: spool.start("tiny-1").finish(Status.DONE), lambda: _bring_tested(spool)):
        act()
        now = path.read_bytes()
        assert now.startswith(before) and len(now) > len(before)
        before = now


def _bring_tested(spool: Spool) -> None:
    with spool.edit("tiny-1") as edit:
        edit.move(Status.TESTED)


# ---- notes


@pytest.mark.parametrize("status", [Status.IN_QUEUE, Status.BUILDING, Status.DONE])
def test_a_note_changes_fields_and_the_history_says_who_and_why(spool: Spool, status: Status) -> None:
    add(spool)
    claim = spool.start("tiny-1") if status is not Status.IN_QUEUE else None
    if claim and status is Status.DONE:
        claim.finish(Status.DONE)
    with watch() as disk, spool.edit("tiny-1") as edit:
        edit.note("pinned: for the fair", "maija@farm", pinned=True)
        assert (disk.faults, disk.unsafe) == ([], [])
    last = spool.history("tiny-1")[-1]
    assert (last["from"], last["to"]) == (str(status), str(status))
    assert (last["reason"], last["who"]) == ("pinned: for the fair", "maija@farm")
    assert spool.read("tiny-1").pinned
    assert history.faults(spool.directory("tiny-1") / "events.jsonl", spool.read("tiny-1").event) == []
    if claim and status is Status.BUILDING:
        assert claim.finish(Status.DONE).pinned
        assert [each["seq"] for each in spool.history("tiny-1")] == [1, 2, 3, 4]


def test_a_note_cannot_change_the_state(spool: Spool) -> None:
    add(spool)
    with spool.edit("tiny-1") as edit, pytest.raises(InputError, match="field status"):
        edit.note("x", "y", status=Status.DONE)
    assert len(spool.history("tiny-1")) == 1


def test_who_waited_for_a_job_that_was_moved_away_meanwhile_hears_that_there_is_none(spool: Spool) -> None:
    add(spool)
    waiting: list[BaseException] = []

    def wait() -> None:
        try:
            with spool.edit("tiny-1") as edit:
                edit.note("pinned", pinned=True)
        except InputError as error:
            waiting.append(error)

    with spool.edit("tiny-1"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        spool.directory("tiny-1").rename(spool.root / "elsewhere")
    thread.join()
    assert "there is no job tiny-1" in str(waiting[0])
    assert b"pinned: true" not in (spool.root / "elsewhere/job.json").read_bytes()
