# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves participants/build_image.py: in this process an executor plays what a test says; hosted it is real."""

import configparser
import dataclasses
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgcore.builds.cancelling import cancel
from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.executor import Outcome, Receiver, Task, choose
from imgcore.job import Job, Status
from imgcore.spool import Spool
from participants import update_image_status
from participants.build_image import DECLARES, ParticipantHandler
from RuoteAMQP import Workitem
from tests.support import slow
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


# ---- as a host runs it: builds in processes of their own


class Hosted:
    """The handler with a host that keeps what it posts; `handle` may be called from threads."""

    def __init__(self, place: Path, *, engine: bool = False) -> None:
        self.config = slow.configuration(place)
        self.spool = Spool(self.config.spool)
        self.posted: list[tuple[str, Any, bool]] = []
        self.handler = self.anew(engine=engine)

    def anew(self, *, engine: bool = False) -> ParticipantHandler:
        """The handler of a host that has just started."""
        handler = ParticipantHandler()
        handler.post = lambda queue, message, lossy=False: self.posted.append(
            (queue, json.loads(json.dumps(message)), lossy)
        )
        parser = configparser.ConfigParser()
        parser.read_dict({"participant": {"name": "w1", "engine": "yes" if engine else "no"}})
        handler.handle_lifecycle_control(SimpleNamespace(message="start", config=parser))
        handler.config = self.config
        return handler

    def item(self, seconds: float = 0, *lines: str, step: str = "0", **image: Any) -> Workitem:
        text = slow.kickstart(seconds, *lines)
        fields = {"image": {**IMAGE, "kickstart": text, **image}, "params": {"ref": "build_image"}, "kept": 1}
        return Workitem({"fields": fields, "fei": {"wfid": "w", "subid": "s", "expid": step}})

    def handle(self, item: Workitem) -> Workitem:
        self.handler.handle_wi(item)
        return item

    @property
    def told(self) -> list[str]:
        """The states that were told for sure."""
        return [str(_told(message)["params"]["status"]) for _, message, lossy in self.posted if not lossy]


def _told(message: dict[str, Any]) -> dict[str, Any]:
    if "definition" not in message:
        return message["fields"]
    return {**message["fields"], "params": message["definition"][2][0][1]}


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosted:
    monkeypatch.setenv("IMAGER_SPOOL", str(tmp_path / "spool"))
    return Hosted(tmp_path)


@pytest.mark.real
def test_a_hosted_build_tells_its_states_and_replies_with_everything(hosted: Hosted) -> None:
    item = hosted.handle(hosted.item())
    image = item.fields.image
    assert (item.result, image.result, image.status) == (True, True, "DONE")
    assert image.worker.name == "w1" and image.worker.pid != os.getpid()
    assert image.image_url.endswith("/n.img") and image.artifacts and image.resources.wall_seconds
    assert item.fields.msg == [f"{image.image_id}: DONE"]
    assert item.fields.kept == 1
    assert hosted.told == ["BUILDING", "DONE"]
    assert {queue for queue, _, _ in hosted.posted} == {"update_image_status"}
    keys = [Workitem(message).step for _, message, _ in hosted.posted]
    assert keys == [f"{image.image_id}!BUILDING!2", f"{image.image_id}!DONE!3"]
    assert all(message["fields"]["params"]["forget"] for _, message, _ in hosted.posted)
    assert all("kickstart" not in message["fields"]["image"] for _, message, _ in hosted.posted)
    assert hosted.spool.read(image.image_id).step == item.step


@pytest.mark.real
def test_through_an_engine_a_state_is_a_process_of_one_step_with_the_fields_of_the_workitem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGER_SPOOL", str(tmp_path / "spool"))
    hosted = Hosted(tmp_path, engine=True)
    made = hosted.handle(hosted.item(2.5)).fields.image.image_id
    assert [(queue, lossy) for queue, _, lossy in hosted.posted] == [("ruote_workitems", False)] * 2
    message = hosted.posted[1][1]
    assert message["definition"] == [
        "define", {"name": f"update_image_status {made}"}, [["update_image_status", {"status": "DONE"}, []]]
    ]  # fmt: skip
    assert (message["fields"]["priority"], message["fields"]["kept"]) == ("high", 1)
    assert message["fields"]["image"]["kickstart"] == slow.kickstart(2.5)
    assert message["fields"]["image"]["image_id"] == made
    assert "params" not in message["fields"]
    hosted.handler = hosted.anew(engine=True)
    hosted.handle(hosted.item(2.5))
    assert hosted.posted[2][1] == message


@pytest.mark.real
def test_the_status_participant_makes_of_what_is_told_what_the_record_is(hosted: Hosted, tmp_path: Path) -> None:
    central = Spool(tmp_path / "central")
    central.create(Job("id", "n", "x86_64", "loop"), kickstart=b"")
    hosted.handle(hosted.item(2.5, "# fail", image_id="id"))
    keeper = update_image_status.ParticipantHandler()
    keeper.config = dataclasses.replace(hosted.config, spool=central.root)
    seen = []
    for _, message, _ in hosted.posted:
        item = Workitem(message)
        keeper.handle_wi(item)
        assert item.result is True
        seen.append((central.read("id").status, central.read("id").phase))
    assert seen == [("BUILDING", ""), ("BUILDING", "install"), ("ERROR", "install")]
    here, there = hosted.spool.read("id"), central.read("id")
    for name in ("status", "error", "error_cause", "error_remedy", "logfile_url", "artifacts", "phases", "resources",
                 "worker", "directory", "started_at", "finished_at", "tool", "executor", "warnings"):  # fmt: skip
        assert getattr(here, name) == getattr(there, name), name


@pytest.mark.real
def test_a_step_that_comes_again_is_answered_from_the_record_in_the_same_words(hosted: Hosted) -> None:
    first = hosted.handle(hosted.item())
    told = list(hosted.posted)
    again = hosted.item()
    hosted.anew().handle_wi(again)
    assert again.to_h() == first.to_h()
    assert hosted.posted[len(told) :] == told[-1:]
    assert len(hosted.spool.ids()) == 1


@pytest.mark.real
def test_a_build_is_found_by_the_host_that_comes_after_one_that_was_killed(hosted: Hosted) -> None:
    item = hosted.item(1.5, image_id="id")
    abandoned = threading.Thread(target=hosted.handle, args=(hosted.item(1.5, image_id="id"),), daemon=True)
    abandoned.start()
    began = slow.when_building(hosted.spool, "id")
    hosted.anew().handle_wi(item)
    abandoned.join(20)
    assert item.fields.image.worker.pid == began.worker["pid"]
    assert [each["to"] for each in hosted.spool.history("id")] == ["IN QUEUE", "BUILDING", "DONE"]


@pytest.mark.real
def test_of_two_workitems_for_one_job_the_first_wins_and_the_other_hears_so(hosted: Hosted) -> None:
    hosted.handle(hosted.item(image_id="id"))
    with pytest.raises(InputError, match="job id is DONE by step w!s!0"):
        hosted.handle(hosted.item(image_id="id", step="1"))

    assert hosted.told == ["BUILDING", "DONE"]


@pytest.mark.real
@pytest.mark.parametrize("by", ["image_id", "step"])
def test_a_cancel_ends_a_build_and_the_answer_says_who_and_why(hosted: Hosted, by: str) -> None:
    item = hosted.item(60, image_id="id")
    thread = threading.Thread(target=hosted.handle, args=(item,))
    thread.start()
    slow.when_building(hosted.spool, "id")
    named = {"image_id": "", "step": "", "who": "me", "reason": "no more", "flavour": None}
    hosted.handler.handle_wi_control(SimpleNamespace(**{**named, by: "id" if by == "image_id" else item.step}))
    thread.join(10)
    assert not thread.is_alive()
    assert (item.result, item.fields.image.status) == (False, "CANCELLED")
    assert item.fields.image.error == "the job was cancelled by me: no more"
    assert hosted.told == ["BUILDING", "CANCELLED"]


def test_a_job_that_was_cancelled_before_it_came_is_not_begun(hosted: Hosted) -> None:
    hosted.handler.is_cancelled = lambda image_id: image_id == "id"  # type: ignore[method-assign]
    item = hosted.handle(hosted.item(image_id="id"))
    assert (item.result, item.fields.image.status) == (False, "CANCELLED")
    assert hosted.told == ["CANCELLED"]
    assert [each["to"] for each in hosted.spool.history("id")] == ["IN QUEUE", "CANCELLED"]


def test_a_job_that_was_cancelled_in_the_same_spool_is_answered_and_not_begun(hosted: Hosted) -> None:
    hosted.spool.create(Job("id", "n", "x86_64", "loop"), kickstart=b"")
    cancel(hosted.spool, "id", "me")
    item = hosted.handle(hosted.item(image_id="id"))
    assert item.fields.image.error == "the job was cancelled by me"
    assert item.fields.msg == ["id: CANCELLED: the job was cancelled by me"]


def test_a_step_that_was_cancelled_before_its_workitem_was_looked_at_is_not_begun(hosted: Hosted) -> None:
    item = hosted.item(image_id="id")
    nothing = SimpleNamespace(image_id="", step=item.step, who="", reason="", flavour="timeout")
    hosted.handler.handle_wi_control(nothing)
    assert hosted.handle(item).fields.image.status == "CANCELLED"


@pytest.mark.parametrize(("image_id", "step"), [("other", ""), ("../x", ""), ("", "w!s!9"), ("", "")])
def test_a_cancel_that_names_nothing_that_is_here_does_nothing(hosted: Hosted, image_id: str, step: str) -> None:
    hosted.spool.create(Job("id", "n", "x86_64", "loop"), kickstart=b"")
    hosted.handler.handle_wi_control(SimpleNamespace(image_id=image_id, step=step, who="", reason="", flavour=None))
    assert [job.status for job in hosted.spool.jobs()] == [Status.IN_QUEUE]


@pytest.mark.real
def test_a_cancel_of_a_step_that_the_engine_does_not_name_cancels_nothing(hosted: Hosted) -> None:
    hosted.handler.handle_wi_control(SimpleNamespace(image_id="", step="", who="", reason="", flavour=None))
    item = hosted.item(image_id="id")
    item.to_h().pop("fei")
    assert hosted.handle(item).result is True


def test_a_host_hears_how_many_builds_fit_and_whether_there_is_room(hosted: Hosted) -> None:
    assert hosted.handler.once is True
    assert hosted.handler.slots >= 1
    assert hosted.handler.may_take() == ""
    hosted.handler.config = dataclasses.replace(hosted.config, free_disk_bytes=1 << 60)
    assert "free_disk" in hosted.handler.may_take()


def test_a_host_hears_where_its_builds_are(hosted: Hosted) -> None:
    for image_id, worker in (("id", "w1"), ("other", "w2")):
        hosted.spool.create(Job(image_id, "n", "x86_64", "loop"), kickstart=b"")
        with hosted.spool.edit(image_id) as edit:
            edit.move(Status.BUILDING, worker={"name": worker}, phase="install", progress=0.5)
    where = {"phase": "install", "progress": 0.5, "progress_detail": ""}
    assert hosted.handler.status() == {"builds": {"id": where}}


@pytest.mark.parametrize(("engine", "told"), [(False, ["ERROR"]), (True, [])])
def test_what_cannot_be_built_is_told_where_no_reply_would_say_so(
    hosted: Hosted, engine: bool, told: list[str]
) -> None:
    hosted.handler = hosted.anew(engine=engine)
    hosted.handler.config = hosted.config
    with pytest.raises(InputError, match="field arch"):
        hosted.handle(hosted.item(image_id="id", arch="vax"))
    assert hosted.told == told
    assert hosted.spool.ids() == []


@pytest.mark.real
@pytest.mark.parametrize("lines", [(), ("# fail",)])
def test_nothing_is_written_that_is_not_declared(hosted: Hosted, lines: tuple[str, ...]) -> None:
    given = hosted.item(0, *lines)
    before = {f"image.{name}" for name in given.fields.image.as_dict()} | set(given.fields.as_dict())
    item = hosted.handle(given)
    after = {f"image.{name}" for name in item.fields.image.as_dict()} | set(item.fields.as_dict())
    declared = {name for field in DECLARES.writes for name in field.names}
    assert after - before - {"__result__"} <= declared
    assert {name for name in declared if name.startswith("image.")} <= after
