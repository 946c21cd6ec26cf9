# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves participants/update_image_status.py."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from imgcore.builds.cancelling import cancel
from imgcore.config import Config
from imgcore.errors import InputError, SpoolError
from imgcore.job import Job, Status, timestamp
from imgcore.jobs import telling
from imgcore.spool import Spool
from participants import update_image_status
from participants.update_image_status import ParticipantHandler
from RuoteAMQP import Workitem


class Bench:
    def __init__(self, place: Path) -> None:
        self.spool = Spool(place)
        self.spool.create(Job("id", "n", "x86_64", "raw"), kickstart=b"")
        self.handler = ParticipantHandler()
        self.handler.config = Config(spool=place)

    def tell(self, status: Any, image_id: str = "id", **more: Any) -> Workitem:
        item = Workitem({"fields": {"image": {"image_id": image_id}, "params": {"status": status}, **more}})
        self.handler.handle_wi(item)
        return item

    @property
    def job(self) -> Job:
        return self.spool.read("id")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "spool")


def test_the_states_of_a_build_are_recorded_with_what_they_bring(bench: Bench) -> None:
    assert bench.tell("BUILDING").result is True
    assert bench.job.status is Status.BUILDING
    item = bench.tell("DONE", image={"image_id": "id", "image_url": "http://x/i", "files_url": "http://x/"})
    assert item.result is True
    assert (bench.job.status, bench.job.image_url) == (Status.DONE, "http://x/i")
    bench.tell("DONE, TESTED")
    assert bench.job.status is Status.TESTED
    assert [each["to"] for each in bench.spool.history("id")] == ["IN QUEUE", "BUILDING", "DONE", "DONE, TESTED"]


def test_an_error_has_the_sentence_that_the_engine_or_the_image_tells(bench: Bench) -> None:
    bench.tell("ERROR", __error__={"class": "RuntimeError", "message": "two\nlines"})
    assert (bench.job.status, bench.job.error) == (Status.ERROR, "two lines")


def test_the_reason_of_the_engine_has_no_password(bench: Bench) -> None:
    bench.tell("ERROR", __error__="http://user:hunter2@example.org/ is not there")
    assert bench.job.error == "http://***@example.org/ is not there"


def test_what_cannot_be_written_is_written_later_where_nobody_says_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, full = Spool.edit, [SpoolError("the disk is full"), SpoolError("the disk is full")]

    def when_there_is_room(*given: Any) -> Any:
        if full:
            raise full.pop()
        return edit(*given)

    monkeypatch.setattr(Spool, "edit", when_there_is_room)
    monkeypatch.setattr(update_image_status, "_RETRY_SECONDS", 0)
    with pytest.raises(SpoolError):
        bench.tell("BUILDING")
    fields = {"image": {"image_id": "id"}, "params": {"status": "BUILDING", "forget": True}}
    bench.handler.handle_wi(Workitem({"fields": fields}))
    assert (bench.job.status, full) == (Status.BUILDING, [])


def test_the_beginning_of_a_build_that_is_over_does_not_count_for_the_one_that_waits(bench: Bench) -> None:
    claim = bench.spool.start("id").__enter__()
    before = claim.job.started_at
    claim.close()
    assert bench.spool.recover("id", requeue=True)
    item = bench.tell("BUILDING", image={"image_id": "id", "started_at": before})
    assert (item.result, bench.job.status) == (False, Status.IN_QUEUE)
    assert item.fields.msg == [f"id stays IN QUEUE: the build that began {before} is over"]
    assert bench.tell("BUILDING", image={"image_id": "id", "started_at": timestamp()}).result is True
    assert bench.job.status is Status.BUILDING


@pytest.mark.parametrize("late", ["BUILDING", "ERROR", "IN QUEUE", "CANCELLED"])
def test_a_late_message_changes_nothing_that_is_final_and_says_so(bench: Bench, late: str) -> None:
    bench.tell("BUILDING")
    bench.tell("DONE")
    before = bench.job
    item = bench.tell(late)
    assert item.result is False
    assert item.fields.msg == [f"id stays DONE: it cannot become {late}"]
    assert bench.job == before


def test_a_repeated_message_changes_nothing_and_is_no_failure(bench: Bench) -> None:
    bench.tell("BUILDING")
    before = bench.job
    assert bench.tell("BUILDING").result is True
    assert bench.job == before


def test_the_end_counts_also_where_the_beginning_was_lost(bench: Bench) -> None:
    assert bench.tell("DONE").result is True
    assert bench.job.status is Status.DONE


def test_an_unknown_job_is_an_answer_and_not_an_exception(bench: Bench) -> None:
    item = bench.tell("DONE", "other")
    assert item.result is False
    assert "other" in item.fields.msg[0]
    assert bench.spool.ids() == ["id"]


@pytest.mark.parametrize("status", ["done", "", None, 5, "DONE\n", ["DONE"]])
def test_a_state_that_is_none_is_refused_by_name(bench: Bench, status: Any) -> None:
    with pytest.raises(InputError, match="param status"):
        bench.tell(status)
    assert bench.job.status is Status.IN_QUEUE


def test_a_hostile_id_is_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="image_id"):
        bench.tell("DONE", "../../etc")


def test_progress_is_recorded_as_it_is_told_and_the_same_twice_is_as_once(bench: Bench) -> None:
    bench.tell("BUILDING", image={"image_id": "id", "worker": {"host": "far", "name": "w1"}})
    told = {"image_id": "id", "phase": "install", "progress": 0.5, "progress_detail": "hello"}
    item = bench.tell("BUILDING", image=told)
    assert item.fields.msg == ["id: BUILDING, install 50%"]
    job = bench.job
    assert (job.phase, job.progress, job.progress_detail, job.worker["name"]) == ("install", 0.5, "hello", "w1")
    item = bench.tell("BUILDING", image=told)
    assert item.fields.msg == ["id is BUILDING already"]
    assert bench.job == job
    assert [each["to"] for each in bench.spool.history("id")] == ["IN QUEUE", "BUILDING"]


def test_the_record_becomes_what_the_worker_s_is(bench: Bench, tmp_path: Path) -> None:
    far = Spool(tmp_path / "far")
    far.create(Job("id", "n", "x86_64", "raw"), kickstart=b"")
    with far.start("id", "w1") as claim:
        bench.tell("BUILDING", image={"image_id": "id", **telling.fields(claim.job)})
        artifact = {"name": "n.img", "kind": "image", "size": 5, "sha256": "0" * 64}
        claim.finish(
            Status.DONE,
            artifacts=[artifact], phases=[{"phase": "install", "seconds": 0.25}], package_count=3,
            resources={"cpu_seconds": 1.5, "peak_memory_bytes": 7}, warnings=["strange"], tool="builtin",
            image_url="http://far/requests/id/n.img", directory="/srv/requests/id",
        )  # fmt: skip
    bench.tell("DONE", image={"image_id": "id", **telling.fields(far.read("id"))})
    for name in ("status", "started_at", "finished_at", "worker", "artifacts", "phases", "package_count", "resources",
                 "warnings", "tool", "image_url", "directory"):  # fmt: skip
        assert getattr(bench.job, name) == getattr(far.read("id"), name), name


def test_a_job_that_is_built_elsewhere_is_not_taken_for_dead(bench: Bench) -> None:
    bench.tell("BUILDING")
    assert bench.spool.recover_all() == []
    assert bench.job.status is Status.BUILDING
    assert bench.job.worker["host"] == "unknown"


def test_a_job_that_is_built_here_is_left_to_its_worker(bench: Bench) -> None:
    with bench.spool.start("id") as claim:
        claim.update(phase="install", progress=0.5)
        before = bench.job
        assert bench.tell("BUILDING", image={"image_id": "id", "phase": "prepare"}).result is True
        item = bench.tell("ERROR", __error__="the process ran out of time")
        assert item.result is False
        assert item.fields.msg == ["id is BUILDING here: its worker says how it goes on"]
        assert bench.job == before
        claim.finish(Status.DONE)
    assert bench.tell("DONE").fields.msg == ["id is DONE already"]


def test_a_message_about_a_job_that_was_cancelled_is_told_so(bench: Bench) -> None:
    cancel(bench.spool, "id", "me", "not now")
    item = bench.tell("BUILDING")
    assert item.result is False
    assert item.fields.msg == ["id stays CANCELLED (the job was cancelled by me: not now): it cannot become BUILDING"]


def test_a_job_is_cancelled_before_it_was_building(bench: Bench) -> None:
    assert bench.tell("CANCELLED", image={"image_id": "id", "error": "by me"}).result is True
    assert [each["to"] for each in bench.spool.history("id")] == ["IN QUEUE", "CANCELLED"]
    assert bench.job.error == "by me"


def test_a_field_that_is_wrong_is_left_out_and_said(bench: Bench) -> None:
    image = {"image_id": "id", "image_url": "javascript:x", "files_url": "http://x/", "artifacts": [{"name": "a"}]}
    item = bench.tell("DONE", image=image)
    assert item.result is True
    assert (bench.job.image_url, bench.job.files_url, bench.job.artifacts) == ("", "http://x/", ())
    assert [line.split(":")[0] for line in item.fields.msg] == [
        "id",
        "image_url is left out",
        "artifacts is left out",
    ]


def test_a_test_s_result_is_in_the_history(bench: Bench) -> None:
    bench.tell("DONE")
    bench.tell("DONE, TESTED", image={"image_id": "id", "test_result": "12 of 12\npassed"})
    assert bench.job.event["reason"] == "test result: 12 of 12 passed"


@pytest.mark.parametrize("order", list(itertools.permutations(["BUILDING", "DONE", "DONE, TESTED"])))
def test_messages_in_any_order_end_in_a_final_state(bench: Bench, order: tuple[str, ...]) -> None:
    for status in (*order, *order):
        bench.tell(status)
    assert bench.job.status in (Status.DONE, Status.TESTED)
    assert (bench.job.status is Status.TESTED) or order.index("DONE, TESTED") < order.index("DONE")
