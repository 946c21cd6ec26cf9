# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/probe.py: what a base image says of itself, whatever it says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imgcore.errors import BuildError
from imgcore.executor import Outcome, Receiver, Task
from imgcore.executor.vm.probe import probe


class Says:
    """An executor whose tool says these lines."""

    name = "says"

    def __init__(self, *lines: str, outcome: Outcome | None = None) -> None:
        self._lines, self._outcome = lines, outcome or Outcome(0)

    @contextlib.contextmanager
    def run(self, task: Task, receiver: Receiver, stop: threading.Event) -> Iterator[Outcome]:
        for each in self._lines:
            receiver.line(each)
        yield self._outcome


def asked(lines: Sequence[str]) -> dict[str, object]:
    return probe(Says(*(f"imager-base {each}" for each in lines)), Path("/nowhere"), lambda line: None)


def test_system_python_tools_and_programs_are_told() -> None:
    said = ['os PRETTY_NAME="Some Linux 3"', "os ID=some", "os VERSION_ID='3'", "python 3.11.2", "program mic",
            "program mic", "program tar", "builtin 0 "]  # fmt: skip
    assert asked(said) == {
        "os": "Some Linux 3", "id": "some", "version": "3", "python": "3.11.2", "builtin": "",
        "programs": ["mic", "tar"],
    }  # fmt: skip


def test_why_the_built_in_tool_cannot_run_is_told() -> None:
    assert asked(["python 3.9", "builtin 1 No module named 'dnf'"])["builtin"] == "No module named 'dnf'"
    assert asked(["python ", "builtin 127 sh: not found"])["builtin"] == "it has no /usr/bin/python3"


def test_a_hostile_answer_is_short_text_and_names_no_program_that_was_not_asked_for() -> None:
    told = asked(["os NAME=\x1b[2J" + "x" * 10000, "program rm -rf", "nonsense", "os", "builtin", "builtin 0"])
    assert told["programs"] == [] and len(str(told["os"])) < 200 and "\x1b" not in str(told["os"])


@pytest.mark.parametrize(
    "executor",
    [Says("hello"), Says("imager-base builtin 0", outcome=Outcome(1)), Says(outcome=Outcome(0, stopped_by="time"))],
)
def test_one_that_does_not_answer_is_an_error(executor: Says) -> None:
    with pytest.raises(BuildError, match="does not say what it is"):
        probe(executor, Path("/nowhere"), lambda line: None)
