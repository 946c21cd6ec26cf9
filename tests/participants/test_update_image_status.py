"""Proves participants/update_image_status.py."""

from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.job import Job, Status
from imgcore.spool import Spool
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
