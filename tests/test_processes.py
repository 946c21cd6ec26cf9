# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves conf/processes: text and tree are the same, and each goes the way that it explains.

The steps are answered here as participants would; that they really do is proved in tests/e2e/test_boss.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import pdef
from tests.support.workflow import Process

_PROCESSES = Path(__file__).parents[1] / "conf/processes"
_NAMES = sorted(path.stem for path in _PROCESSES.glob("*.pdef"))
_PARTICIPANTS = ("build_ks", "build_image", "request_image", "update_image_status", "mail")

Answer = Callable[[dict[str, Any]], Any]


class _Around:
    """Participants that answer at once: an exception is an error reply, what is returned is the result."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.steps: list[str] = []
        self.seen: list[dict[str, Any]] = []
        self.persistent: list[bool] = []
        self._waiting: list[dict[str, Any]] = []

    def queue_of(self, name: str) -> str | None:
        return name if name in _PARTICIPANTS else None

    def deliver(self, queue: str, message: dict[str, Any], persistent: bool) -> None:
        if not message.get("cancel"):
            self._waiting.append(message)
            self.persistent.append(persistent)

    def registered_by(self, workitem: dict[str, Any]) -> None:
        raise AssertionError("no process of ours registers")

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        raise AssertionError("no process of ours waits")

    def run(self, name: str, fields: dict[str, Any], **variables: Any) -> Process:
        process = Process(self, "wfid", _tree(name), fields, variables)
        while self._waiting:
            item = self._waiting.pop(0)
            step, params = item["participant_name"], item["fields"]["params"]
            self.steps.append(" ".join(filter(None, (step, params.get("status")))))
            self.seen.append(copy.deepcopy(item["fields"]))
            try:
                item["fields"]["__result__"] = self.answers.get(step, lambda image: True)(item["fields"].get("image"))
            except RuntimeError as error:
                item["error"] = {"class": "RuntimeError", "message": str(error)}
            process.receive(item)
        return process


def _tree(name: str) -> list[Any]:
    tree: list[Any] = json.loads((_PROCESSES / f"{name}.json").read_text())
    return tree


def _built(*statuses: str) -> Answer:
    """build_image, with such a status each time."""
    left = list(statuses)

    def build(image: dict[str, Any]) -> bool:
        image["status"] = left.pop(0) if len(left) > 1 else left[0]
        return image["status"] == "DONE"

    return build


def _requested() -> Answer:
    numbers = iter(range(1, 100))

    def request(image: dict[str, Any]) -> bool:
        image["before"], image["image_id"] = image.get("image_id"), f"job-{next(numbers)}"
        image.pop("status", None)
        return True

    return request


def _refuse(image: dict[str, Any]) -> bool:
    raise RuntimeError(f"no {image['name']}")


@pytest.mark.parametrize("name", _NAMES)
def test_text_and_tree_are_the_same(name: str) -> None:
    assert pdef.read((_PROCESSES / f"{name}.pdef").read_text()) == _tree(name)


def test_there_are_three_processes_and_each_is_in_the_table() -> None:
    assert _NAMES == ["build_with_retry", "image_on_demand", "nightly_images"]
    readme = (_PROCESSES / "README.md").read_text()
    assert all(f"| `{name}` |" in readme for name in _NAMES)


def test_an_image_on_demand_is_built_when_its_kickstart_is_good() -> None:
    around = _Around(build_image=_built("DONE"))
    assert around.run("image_on_demand", {"image": {"name": "n"}}).state == "ended"
    assert around.steps == ["build_ks", "build_image"]


@pytest.mark.parametrize("answer", [lambda image: False, _refuse])
def test_an_image_on_demand_becomes_error_when_its_kickstart_is_not_good(answer: Answer) -> None:
    around = _Around(build_ks=answer)
    assert around.run("image_on_demand", {"image": {"name": "n"}}).state == "ended"
    assert around.steps == ["build_ks", "update_image_status ERROR"]


@pytest.mark.parametrize("answer", [_built("ERROR"), _refuse])
def test_an_image_on_demand_becomes_error_when_it_cannot_be_built(answer: Answer) -> None:
    around = _Around(build_image=answer)
    assert around.run("image_on_demand", {"image": {"name": "n"}}).state == "ended"
    assert around.steps == ["build_ks", "build_image", "update_image_status ERROR"]


def test_what_went_wrong_is_in_the_fields_that_update_image_status_gets() -> None:
    around = _Around(build_ks=_refuse)
    around.run("image_on_demand", {"image": {"name": "n"}})
    assert around.seen[-1]["__error__"]["message"] == "no n"


def test_a_status_that_cannot_be_recorded_leaves_the_process_with_its_error() -> None:
    around = _Around(build_ks=_refuse, update_image_status=_refuse)
    process = around.run("image_on_demand", {"image": {"name": "n"}})
    assert (process.state, process.error) == ("failed", "no n")


def test_a_build_that_fails_once_is_tried_again_as_the_retry_of_the_job_before() -> None:
    around = _Around(request_image=_requested(), build_image=_built("ERROR", "DONE"))
    process = around.run("build_with_retry", {"image": {"name": "n"}})
    first = ["request_image", "build_ks", "build_image"]
    assert around.steps == [*first, "update_image_status ERROR", *first]
    assert process.fields["image"] == {"name": "n", "before": "job-1", "image_id": "job-2", "status": "DONE"}


@pytest.mark.parametrize(("variables", "attempts"), [({}, 3), ({"attempts": 2}, 2), ({"attempts": 1}, 1)])
def test_a_build_that_always_fails_is_tried_as_often_as_is_said(variables: dict[str, int], attempts: int) -> None:
    around = _Around(request_image=_requested(), build_image=_built("ERROR"))
    assert around.run("build_with_retry", {"image": {"name": "n"}}, **variables).state == "ended"
    assert around.steps.count("build_image") == attempts


def test_a_build_that_was_cancelled_is_not_tried_again() -> None:
    around = _Around(request_image=_requested(), build_image=_built("CANCELLED"))
    around.run("build_with_retry", {"image": {"name": "n"}})
    assert around.steps.count("build_image") == 1


def test_a_kickstart_that_is_refused_is_not_tried_again_and_its_job_becomes_error() -> None:
    around = _Around(request_image=_requested(), build_ks=_refuse)
    assert around.run("build_with_retry", {"image": {"name": "n"}}).state == "ended"
    assert around.steps == ["request_image", "build_ks", "update_image_status ERROR"]


def test_a_request_that_is_refused_leaves_the_process_with_its_error() -> None:
    around = _Around(request_image=_refuse)
    process = around.run("build_with_retry", {"image": {"name": "n"}})
    assert (process.state, process.error, around.steps) == ("failed", "no n", ["request_image"])


def test_all_images_of_the_night_are_built_and_reported_whatever_becomes_of_one() -> None:
    def checked(image: dict[str, Any]) -> bool:
        return image["name"] != "b" or _refuse(image)

    around = _Around(build_ks=checked, request_image=_requested(), build_image=_built("ERROR", "DONE"))
    images = [{"name": name} for name in "abc"]
    process = around.run("nightly_images", {"images": images, "msg": ["tonight"]}, report_to="mail")
    assert process.state == "ended"
    assert sorted(around.steps) == sorted(
        [*["build_ks"] * 3, *["request_image", "build_image"] * 2, "update_image_status ERROR", "mail"]
    )
    assert around.steps[-1] == "mail"
    assert around.seen[-1]["msg"] == ["tonight", "no b"]
    assert all("images" not in fields for fields in around.seen)


@pytest.mark.parametrize("fields", [{"images": []}, {}])
def test_a_night_without_images_ends_at_once(fields: dict[str, Any]) -> None:
    around = _Around()
    assert around.run("nightly_images", fields).state == "ended"
    assert around.steps == []


@pytest.mark.parametrize("name", _NAMES)
def test_no_message_of_the_engine_is_lost_with_a_restart_of_the_broker(name: str) -> None:
    around = _Around(request_image=_requested(), build_image=_built("ERROR"))
    image = {"name": "n", "image_id": "given"}
    around.run(name, {"image": image, "images": [image]}, report_to="mail")
    assert len(around.persistent) > 2
    assert all(around.persistent)


def test_each_attempt_is_a_step_of_its_own_for_the_engine() -> None:
    keys: set[tuple[str, str]] = set()

    class Around(_Around):
        def deliver(self, queue: str, message: dict[str, Any], persistent: bool) -> None:
            if queue == "build_image":
                keys.add((message["fei"]["subid"], message["fei"]["expid"]))
            super().deliver(queue, message, persistent)

    Around(request_image=_requested(), build_image=_built("ERROR")).run("build_with_retry", {"image": {}})
    assert len(keys) == 3
