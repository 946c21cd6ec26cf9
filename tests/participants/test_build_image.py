"""Proves participants/build_image.py, with an executor that plays what a test says."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.executor import Outcome, Receiver, Task, choose
from imgcore.job import Job, Status
from imgcore.spool import Spool
from participants.build_image import ParticipantHandler
from RuoteAMQP import Workitem
from tests.support.executors import Act, Played, says

KICKSTART = "repo --name=r --baseurl=http://r/\npart / --size=100 --fstype=ext4\n%packages --nocore\nhello\n%end\n"
RESULT = {"artifacts": [{"name": "n.img", "kind": "image"}], "packages": [], "warnings": []}
DONE = says([], {"n.img": b"image", "result.json": json.dumps(RESULT).encode()})
IMAGE = {"kickstart": KICKSTART, "name": "n", "arch": "x86_64", "image_type": "loop"}


class Bench:
    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handler = ParticipantHandler()
        self.handler.config = Config(spool=place / "spool", base_dir=place / "images", cache=place / "cache")
        self.spool = Spool(place / "spool")
        self._monkeypatch = monkeypatch

    def build(self, act: Act, **image: Any) -> Workitem:
        self._monkeypatch.setattr(choose, "executor", lambda config: Played(act))
        item = Workitem({"fields": {"image": {**IMAGE, **image}, "kept": {"as": "it came"}}})
        self.handler.handle_wi(item)
        return item


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_the_reply_has_where_the_image_is(bench: Bench) -> None:
    item = bench.build(DONE)
    image = item.fields.image
    assert item.result is True and image.result is True
    assert image.image_url == f"{image.files_url}n.img"
    assert [each["name"] for each in image.artifacts] == ["n.img", "n.ks", "n.log", "n.manifest.json"]
    assert all(len(each["sha256"]) == 64 for each in image.artifacts)
    assert image.resources.wall_seconds >= 0
    assert item.fields.kept.as_dict() == {"as": "it came"}
    assert bench.spool.read(image.image_id).status is Status.DONE
    json.dumps(item.to_h())


def test_a_build_that_fails_is_an_answer_and_not_an_exception(bench: Bench) -> None:
    item = bench.build(says(["Unable to find package: nosuch"], {}, Outcome(1)))
    assert item.result is False and item.fields.image.result is False
    assert "nosuch" in item.fields.image.error
    assert item.fields.image.error_cause == "package-missing"
    assert item.fields.msg[0].endswith(item.fields.image.error)


def test_a_job_that_was_recorded_is_built_and_not_recorded_again(bench: Bench) -> None:
    made = bench.build(DONE, image_id="given").fields.image.image_id
    assert made == "given"
    assert bench.spool.ids() == ["given"]


def test_a_job_that_is_finished_is_not_built_again(bench: Bench) -> None:
    bench.build(DONE, image_id="given")
    with pytest.raises(InputError, match="given is DONE"):
        bench.build(DONE, image_id="given")


def test_what_cannot_be_built_is_an_exception_and_no_job(bench: Bench) -> None:
    with pytest.raises(InputError, match="field name"):
        bench.build(DONE, name="../x")
    assert bench.spool.ids() == []


def test_a_control_message_cancels_the_build(bench: Bench) -> None:
    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        bench.handler.handle_wi_control(None)
        assert stop.is_set()
        return Outcome(1, stopped_by="cancel")

    item = bench.build(act)
    assert item.fields.image.status == "CANCELLED"
    assert item.result is False
    assert bench.build(DONE).result is True


def test_the_job_of_a_worker_that_died_is_ended_at_the_next_build(bench: Bench) -> None:
    bench.build(DONE, image_id="first")
    bench.spool.create(Job("lost", "n", "x86_64", "raw"), kickstart=b"")
    with bench.spool.edit("lost") as edit:
        edit.move(Status.BUILDING)
    bench.build(DONE, image_id="next")
    assert bench.spool.read("lost").status is Status.ERROR
