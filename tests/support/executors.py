# SPDX-License-Identifier: GPL-2.0-or-later
"""Executors and tools of tests: they do what a test says, and nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from imgcore.executor import Outcome, Receiver, Task

Act = Callable[[Task, Receiver, threading.Event], Outcome]


@dataclass
class Played:
    """An executor that plays `act`, and `end` while its sandbox ends; `tasks` has what it was asked for."""

    act: Act
    name: str = "played"
    end: Callable[[], object] = lambda: None
    tasks: list[Task] = field(default_factory=list)

    @contextlib.contextmanager
    def run(self, task: Task, receiver: Receiver, stop: threading.Event) -> Iterator[Outcome]:
        self.tasks.append(task)
        yield self.act(task, receiver, stop)
        self.end()


def says(lines: Sequence[str], files: dict[str, bytes] | None = None, outcome: Outcome | None = None) -> Act:
    """A run that says `lines`, delivers `files` and ends with `outcome`."""

    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        for line in lines:
            receiver.line(line)
        receiver.sample(1.0, 2, 3, 4)
        for name, content in (files or {}).items():
            receiver.file(name, len(content), 0o644)
            receiver.data(0, content)
        return outcome or Outcome(0)

    return act
