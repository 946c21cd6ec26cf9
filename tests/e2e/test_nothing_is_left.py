# SPDX-License-Identifier: GPL-2.0-or-later
"""A build that is cut off, in whatever phase and however, leaves nothing on the machine.

IMAGER_KILL_ROUNDS says how many builds are killed at a random moment besides those in each phase.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import example
from tests.support.machine import nothing_left

pytestmark = pytest.mark.real

IMG = Path(sys.executable).parent / "img"
ROUNDS = int(os.environ.get("IMAGER_KILL_ROUNDS", "5"))
PHASES = ("prepare", "repositories", "install", "configure", "scripts", "image", "deliver")


class Builds:
    """Builds of the example in a place of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.repository = example.repository()

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                IMG, "build", example.EXAMPLE / "tiny.ks", "--type", "raw", "--name", "tiny",
                "--tokenmap", f"REPO:{self.repository},RELEASE:1,GREETING:hi",
                "--spool", self.place / "spool", "--outdir", self.place / "images",
            ],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """The newest job's record."""
        (newest,) = sorted((self.place / "spool" / "jobs").iterdir())[-1:]
        found: dict[str, Any] = json.loads((newest / "job.json").read_bytes())
        return found

    def fsck(self, *options: str) -> subprocess.CompletedProcess[str]:
        places = ["--spool", str(self.place / "spool"), "--outdir", str(self.place / "images")]
        return subprocess.run([IMG, "fsck", *options, *places], capture_output=True, text=True, check=False)

    def check(self) -> None:
        """Nothing half-made is in spool or images, and what is there is whole."""
        if not (self.place / "spool").exists():
            return
        assert list((self.place / "spool" / "tmp").iterdir()) == []
        published = self.place / "images" / "requests"
        for each in published.iterdir() if published.exists() else ():
            assert not each.name.startswith("."), each
        done = self.fsck()
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    made = Builds(tmp_path_factory.mktemp("killed"))
    process = made.start()
    process.communicate()
    assert process.returncode == 0
    yield made


def cut_off(builds: Builds, process: subprocess.Popen[str], number: int) -> None:
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    if number == signal.SIGKILL:
        assert process.returncode in (-signal.SIGKILL, 0)
        # What the kernel cannot mend is the record: the next one who looks does.
        assert builds.fsck("--repair").returncode == 0
        assert builds.record()["status"] in ("ERROR", "DONE", "IN QUEUE")
    else:
        assert process.returncode in (130, 0), said
        assert builds.record()["status"] == ("DONE" if process.returncode == 0 else "CANCELLED")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda each: each.name)
@pytest.mark.parametrize("phase", PHASES)
def test_cut_off_in_a_phase(builds: Builds, phase: str, number: signal.Signals) -> None:
    with nothing_left():
        process = builds.start()
        assert process.stderr
        for line in process.stderr:
            if line.split("]")[-1].split()[:1] == [phase]:
                break
        cut_off(builds, process, number)
    builds.check()


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_cut_off_at_any_moment(builds: Builds, round_number: int) -> None:
    chance = random.Random(f"{round_number} {time.time_ns() if ROUNDS > 50 else ''}")
    number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    with nothing_left():
        process = builds.start()
        time.sleep(chance.uniform(0.3, 2.5))
        if process.poll() is None:
            cut_off(builds, process, number)
        else:
            process.communicate()
    builds.check()


def test_a_second_interrupt_ends_at_once(builds: Builds) -> None:
    with nothing_left():
        process = builds.start()
        assert process.stderr
        process.stderr.readline()
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert builds.record()["status"] == "CANCELLED"
