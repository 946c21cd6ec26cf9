# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/process.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from imgcore import process
from imgcore.job import Worker


def begun(seconds: float) -> tuple[subprocess.Popen[bytes], Worker]:
    """A process that sleeps, and how a record would name it."""
    code = (
        "import json, time, sys; from imgcore import process\n"
        f"print(json.dumps(process.this('w')), flush=True); time.sleep({seconds})"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout
    return child, json.loads(child.stdout.readline())


def test_this_process_is_here_and_alive() -> None:
    worker = process.this("w")
    assert (worker["pid"], worker["name"]) == (os.getpid(), "w")
    assert process.is_here(worker) and process.is_alive(worker)


def test_a_process_is_dead_once_it_has_ended_whether_its_parent_heard_of_it_or_not() -> None:
    child, worker = begun(1)
    with child:
        assert process.is_alive(worker)
        assert process.wait(worker, 10)
        assert not process.is_alive(worker)
        child.wait()
    assert not process.is_alive(worker)
    assert process.wait(worker, 10)


def test_a_wait_has_an_end_of_its_own() -> None:
    child, worker = begun(60)
    with child:
        began = time.monotonic()
        assert process.wait(worker, 0.1) is False
        assert 0.1 <= time.monotonic() - began < 2
        assert process.end(worker)
        assert process.wait(worker, 10)


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    mine = process.this()
    for other in ({"start_ticks": 1}, {"boot_id": "another"}, {"host": "elsewhere"}, {"pid": 0}, {"pid": 1 << 31}):
        assert not process.is_alive({**mine, **other})  # type: ignore[typeddict-item]
