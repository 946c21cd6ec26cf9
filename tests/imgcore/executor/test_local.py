# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/local.py: limits, cancel, samples, and what an executor does with a broken sandbox."""

import os
import threading
import time
from pathlib import Path

import pytest

from imgcore.errors import BuildError
from imgcore.executor import Limits, Outcome, Task
from imgcore.executor.local import SandboxExecutor, vm
from imgcore.vmsettings import VmSettings
from tests.support import sandboxes
from tests.support.machine import nothing_left
from tests.support.sandboxes import shell

pytestmark = pytest.mark.real


class Heard:
    """A receiver that keeps what it hears."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.lines: list[str] = []
        self.samples: list[tuple[float, int, int, int]] = []
        self.files: dict[str, int] = {}
        self.stop = stop

    def line(self, text: str) -> None:
        self.lines.append(text)
        if self.stop is not None and text == "stop me":
            self.stop.set()

    def sample(self, cpu_seconds: float, memory_bytes: int, disk_bytes: int, processes: int) -> None:
        self.samples.append((cpu_seconds, memory_bytes, disk_bytes, processes))

    def file(self, name: str, size: int, mode: int) -> None:
        self.files[name] = size

    def data(self, offset: int, content: bytes) -> None:
        assert self.files


def run(script: str, cache: Path, limits: Limits, heard: Heard, stop: threading.Event | None = None) -> Outcome:
    command = tuple(sandboxes.direct(sandboxes.start(shell(script))))
    task = Task(tool="builtin", arguments=(), inputs={}, cache=cache, limits=limits)
    executor = SandboxExecutor("direct", command, {})
    with nothing_left(), executor.run(task, heard, stop or threading.Event()) as outcome:
        return outcome


def run_to_end(executor: SandboxExecutor, cache: Path, heard: Heard) -> Outcome:
    with executor.run(Task("builtin", (), {}, cache), heard, threading.Event()) as outcome:
        return outcome


def test_what_a_build_used_is_told(tmp_path: Path) -> None:
    heard = Heard()
    burn = (
        "python3 -c 'import time; kept = bytearray(200 << 20); t = time.process_time()\n"
        "while time.process_time() - t < 1.2: pass'; "
        "dd if=/dev/zero of=/run/imager/build/x bs=1M count=50 status=none; sleep 1.2"
    )
    outcome = run(burn, tmp_path, Limits(), heard)
    assert outcome.status == 0
    assert 1.1 < outcome.cpu_seconds < 5
    assert 200 << 20 < outcome.peak_memory_bytes < 600 << 20
    assert 50 << 20 <= outcome.peak_disk_bytes < 80 << 20
    assert outcome.peak_processes >= 2
    assert len(heard.samples) >= 3


def test_a_time_limit_ends_the_build(tmp_path: Path) -> None:
    began = time.monotonic()
    outcome = run("trap '' TERM; sleep 100; sleep 100", tmp_path, Limits(seconds=0.5), Heard())
    assert outcome.stopped_by == "time"
    assert time.monotonic() - began < 8


def test_a_memory_limit_ends_the_build(tmp_path: Path) -> None:
    hungry = "python3 -c 'import time; kept = bytearray(300 << 20); time.sleep(60)'"
    assert run(hungry, tmp_path, Limits(memory_bytes=200 << 20), Heard()).stopped_by == "memory"


def test_a_fork_bomb_ends(tmp_path: Path) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 100"
    heard = Heard()
    outcome = run(bomb, tmp_path, Limits(processes=100, seconds=3), heard)
    assert outcome.stopped_by == "time"
    assert outcome.peak_processes <= 110
    assert any("fork" in line.lower() for line in heard.lines)


def test_a_cancel_ends_the_build_soon(tmp_path: Path) -> None:
    stop = threading.Event()
    began = time.monotonic()
    outcome = run("echo stop me; sleep 100", tmp_path, Limits(), Heard(stop), stop)
    assert outcome.stopped_by == "cancel"
    assert time.monotonic() - began < 5


def test_a_cancel_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    heard = Heard(stop)
    outcome = run("echo x > /run/imager/out/a", tmp_path, Limits(), heard, stop)
    stop.set()
    assert outcome.stopped_by == ""
    assert heard.files == {"a": 2}


def test_the_outcome_is_there_before_a_sandbox_that_takes_its_time_to_end(tmp_path: Path) -> None:
    known, gone = tmp_path / "known", tmp_path / "gone"
    os.mkfifo(known)
    # It ends when somebody who knows the outcome says so.
    text = (
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(sandboxes.REPOSITORY)!r})\n"
        "from imgcore.executor import frames\n"
        "end = {'status': 0, 'stopped': False, 'cpu_seconds': 0, 'peak_memory_bytes': 0}\n"
        "frames.Writer(1).send_json(frames.END, end)\n"
        f"Path({str(known)!r}).read_text()\nPath({str(gone)!r}).touch()\n"
    )
    executor = SandboxExecutor("slow", (sandboxes.PYTHON, "-c", text), {})
    with executor.run(Task("builtin", (), {}, tmp_path), Heard(), threading.Event()) as outcome:
        assert outcome == Outcome(0, peak_processes=outcome.peak_processes) and not gone.exists()
        known.write_text("go on")
    assert gone.exists()


def test_a_sandbox_that_says_nothing_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    executor = SandboxExecutor("sudo", ("sh", "-c", "echo sudo: a password is required >&2; exit 1"), {})
    with pytest.raises(BuildError, match="a password is required") as caught:
        run_to_end(executor, tmp_path, Heard())
    assert caught.value.cause == "sandbox"


def test_a_starter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no-such-sudo cannot be started"):
        run_to_end(SandboxExecutor("sudo", ("no-such-sudo",), {}), tmp_path, Heard())


def test_a_receiver_that_fails_ends_the_sandbox(tmp_path: Path) -> None:
    class Full(Heard):
        def file(self, name: str, size: int, mode: int) -> None:
            raise BuildError("the disk is full")

    with pytest.raises(BuildError, match="the disk is full"):
        run("dd if=/dev/zero of=/run/imager/out/a bs=1M count=20 status=none", tmp_path, Limits(), Full())


def test_no_password_of_a_repository_is_in_the_process_list() -> None:
    urls = ("https://me:pa@ss@h:81/a//b?key=word#x", "http://me@[::1]/c", "http://h/d", "http://[broken")
    told = vm({}, VmSettings()).more(Task("builtin", (), {}, Path("/cache"), urls=urls))
    assert [each for each in told if "--url" in each] == [
        "--url=https://h:81/a//b",
        "--url=http://[::1]/c",
        "--url=http://h/d",
    ]
