"""Executors and tools of tests: they do what a test says, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from imgcore.executor import Outcome, Receiver, Task

Act = Callable[[Task, Receiver, threading.Event], Outcome]


@dataclass
class Played:
    """An executor that plays `act`; `tasks` has what it was asked for."""

    act: Act
    name: str = "played"
    tasks: list[Task] = field(default_factory=list)

    def run(self, task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        self.tasks.append(task)
        return self.act(task, receiver, stop)


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
