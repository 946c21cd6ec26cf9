# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves tests/support/workflow.py: it goes where ruote 2.3.1 was seen to go with the same text and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import pdef
from tests.support.workflow import Process

_PARTICIPANTS = ("one", "two", "three")
_YES = '"${__result__}" in ["true"]'


class _Around:
    """Participants one, two and three; each answers yes, no (-), with an error (!) or never (?)."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = {name: list(each) for name, each in answers.items()}
        self.steps: list[str] = []
        self.params: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def queue_of(self, name: str) -> str | None:
        return name if name in _PARTICIPANTS else None

    def registered_by(self, workitem: dict[str, Any]) -> None:
        self.steps.append("registered")

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.timers.append((seconds, what))

    def deliver(self, queue: str, message: dict[str, Any], persistent: bool) -> None:
        if message.get("cancel"):
            self.steps.append(f"cancel {message['flavour'] or 'plain'}")
        else:
            self.waiting.append(message)

    def run(self, text: str) -> Process:
        tree = pdef.read(f"Ruote.process_definition :name => 'p' do\n{text}\nend")
        process = Process(self, "wfid", tree, {"image": {"name": "n"}}, {})
        while self.waiting or self.timers:
            if not self.waiting:
                self.timers.pop(0)[1]()
                continue
            item = self.waiting.pop(0)
            name = item["participant_name"]
            self.steps.append(f"{name}@{item['fei']['expid']}")
            self.params.append(item["fields"]["params"])
            left = self.answers.get(name, ["+"])
            answer = left.pop(0) if len(left) > 1 else left[0]
            item["fields"]["__result__"] = answer == "+"
            if answer == "!":
                item["error"] = {"class": "RuntimeError", "message": "boo"}
            if answer != "?":
                process.receive(item)
        return process


@pytest.mark.parametrize(
    ("text", "answers", "steps"),
    [
        (
            f"cursor do\none\nrewind :unless => '{_YES}'\ntwo\nend",
            {"one": "--+"},
            "one@0_0_0 one@0_0_0 one@0_0_0 two@0_0_2",
        ),
        (
            f"iterator :times => 3 do\nsequence do\none\nstop :unless => '{_YES}'\nnoop\nend\nthree\nend\ntwo",
            {"one": "+-"},
            "one@0_0_0_0 three@0_0_1 one@0_0_0_0 two@0_1",
        ),
        ("_if do\none\ntwo\nthree\nend", {"one": "-"}, "one@0_0_0 three@0_0_2"),
        ("_if '\"${v:a}\" is set' do\none\nthree\nend", {}, "three@0_0_1"),
        ("concurrence do\none\ntwo\nend\nthree", {}, "one@0_0_0 two@0_0_1 three@0_1"),
        ("concurrent_iterator :on => 'a, b', :to_v => 'w' do\none\nend\ntwo", {}, "one@0_0_0 one@0_0_0 two@0_1"),
        ("sequence do\none :on_error => 'pass'\ntwo\nend", {"one": "!"}, "one@0_0_0 two@0_0_1"),
        (
            "sequence :on_error => 'three' do\none\nend\ntwo",
            {"one": "!"},
            "one@0_0_0 cancel plain three@0_0 two@0_1",
        ),
        ("sequence :on_error => 'redo' do\none\nend", {"one": "!+"}, "one@0_0_0 cancel plain one@0_0_0"),
        ("sequence do\non_error 'three'\none\nend", {"one": "!"}, "one@0_0_1 cancel plain three@0_0"),
        ("cursor :on_error => 'break' do\none\ntwo\nend\nthree", {"one": "!"}, "one@0_0_0 cancel plain three@0_1"),
        ("one :forget => true\nforget do\nthree\nend\ntwo", {}, "one@0_0 three@0_1_0 two@0_2"),
        ("sequence do\none\nterminate\ntwo\nend", {}, "one@0_0_0"),
        ("one :timeout => '1s'\ntwo", {"one": "?"}, "one@0_0 cancel timeout two@0_1"),
        ("wait '1s'\none", {}, "one@0_1"),
        ("h\ndefine 'h' do\none\nend", {}, "one@0_0_0"),
        ("cursor do\none\nskip :step => 1\ntwo\nthree\nend", {}, "one@0_0_0 three@0_0_3"),
    ],
)
def test_a_process_goes_as_the_engine_was_seen_to_go(text: str, answers: dict[str, str], steps: str) -> None:
    around = _Around(answers)
    around.run(text)
    assert " ".join(around.steps) == steps


@pytest.mark.parametrize(
    ("text", "answers", "error"),
    [
        ("one :if => '${__result__}'", {}, None),
        ("one\ntwo :if => '${__result__}'", {}, "couldn't interpret >true<"),
        ("one :x => '${r:1+1}'", {}, "'ruby_eval_allowed' is set to false, cannot evaluate >1+1<"),
        ("one", {"one": "!"}, "boo"),
        ("p", {}, "the process goes round and round"),
    ],
)
def test_what_stops_the_engine_stops_the_stand_in(text: str, answers: dict[str, str], error: str | None) -> None:
    process = _Around(answers).run(text)
    assert (process.state, process.error) == (("failed", error) if error else ("ended", ""))


def test_a_step_of_nobody_hangs() -> None:
    process = _Around({}).run("one\nnobody\ntwo")
    assert (process.state, process.waiting()) == ("running", ["nobody"])


def test_fields_and_variables_are_put_in_as_the_engine_does() -> None:
    around = _Around({})
    around.run(
        "set 'v:a' => 'x y'\nset :f => 'image.b', :field_value => 'image.name'\n"
        "one :p => '${v:a} ${\"v:a} ${f:image.b}${none}', :o => '$f:image'"
    )
    assert around.params[0] == {"p": 'x y "x y" n', "o": {"name": "n", "b": "n"}, "ref": "one"}


def test_a_second_answer_and_one_to_nobody_are_ignored() -> None:
    around = _Around({"one": "?"})
    process = around.run("one\ntwo")
    item = {"fei": next(iter(process.expressions.values())).fei, "fields": {}}
    step = next(each for each in process.expressions.values() if each.name == "one")
    assert process.receive(item | {"fei": step.fei})
    assert not process.receive(item | {"fei": step.fei})
    assert not process.receive({"fei": {"subid": "none", "expid": "0"}, "fields": {}})
