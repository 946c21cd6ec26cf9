# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill a process at its n-th step on the disk: what is left is what a crash leaves.

A step is a call that changes a file system or makes a change durable (write, fsync, rename, link, unlink, mkdir,
rmdir, truncate, making a file). The process dies by SIGKILL just before the step; at a write it can also die
with half of it done.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["Outcome", "run_to"]

_STEPS = ("write", "fsync", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "ftruncate")


@dataclass(frozen=True)
class Outcome:
    """How a child ended: killed or not, the names of the steps it did, what it told."""

    killed: bool
    steps: list[str]
    told: list[Any]


def run_to(step: int | None, body: Callable[[], Iterator[Any]], *, torn: bool = False) -> Outcome:
    """Run `body` in a child that is killed at the step of this number (None: not at all).

    What `body` yields is told at once, so it is known also of a child that was killed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(writing, step, body, torn)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.waitstatus_to_exitcode(status) == 0, lines
    return Outcome(
        killed, [each["step"] for each in lines if "step" in each], [e["told"] for e in lines if "told" in e]
    )


def _be_the_child(writing: int, step: int | None, body: Callable[[], Iterator[Any]], torn: bool) -> NoReturn:
    status = 1
    real_write = os.write

    def tell(message: dict[str, Any]) -> None:
        real_write(writing, json.dumps(message).encode() + b"\n")

    try:
        _count_steps(step, torn, tell)
        for each in body():
            tell({"told": each})
        status = 0
    except BaseException as error:
        tell({"told": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


def _count_steps(deadly: int | None, torn: bool, tell: Callable[[dict[str, Any]], None]) -> None:
    done = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal done
            if done == deadly:
                if torn and name == "write":
                    descriptor, content = arguments
                    real(descriptor, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            tell({"step": name})
            return real(*arguments, **more)

        return call

    for name in _STEPS:
        setattr(os, name, counted(name, getattr(os, name)))
    really_open = os.open
    making = counted("open", really_open)

    def open_or_make(path: Any, flags: int, *arguments: Any, **more: Any) -> int:
        made: int = (making if flags & os.O_CREAT else really_open)(path, flags, *arguments, **more)
        return made

    os.open = open_or_make  # type: ignore[assignment]
