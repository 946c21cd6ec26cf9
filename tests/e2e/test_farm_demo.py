# SPDX-License-Identifier: GPL-2.0-or-later
"""`make farm-demo`: twelve images in spite of a killed worker, and nothing that runs afterwards, however it ends."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from examples.farm import demo
from tests.support import html
from tests.support.example import CHECKOUT, repository

pytestmark = pytest.mark.real


@pytest.fixture
def command() -> list[str]:
    """What `make farm-demo` runs after setting up; what it makes is removed before."""
    repository()
    shutil.rmtree(demo.PLACE, ignore_errors=True)
    return [sys.executable, "-m", "examples.farm.demo"]


def ours() -> list[str]:
    """The processes of the demo: all have its directory in their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            said = " ".join([*process.cmdline(), *process.environ().values()])
        except psutil.Error:
            continue
        if str(demo.PLACE) in said:
            found.append(" ".join(process.cmdline()))
    return found


def test_twelve_images_come_in_spite_of_a_killed_worker_and_everything_is_stopped(command: list[str]) -> None:
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ours() == []
    assert len(re.findall(r"^ +\d+/12  tiny-\d\d  DONE  on worker-\d", done.stdout, re.MULTILINE)) == demo.JOBS
    (killed,) = re.findall(r"^(worker-\d) was killed", done.stdout, re.MULTILINE)
    assert f"{killed} is started again" in done.stdout
    images = [Path(each) for each in re.findall(r"^  (/.*\.tar\.gz)  \(", done.stdout, re.MULTILINE)]
    assert len({each.name for each in images}) == demo.JOBS
    assert all(each.stat().st_size > 10**6 for each in images)
    assert {job["status"] for job in demo.records(demo.SPOOL, "DONE", "ERROR", "BUILDING")} == {"DONE"}
    page = html.parse(demo.PLACE / "report/index.html")
    assert html.broken_links(page, demo.PLACE / "report") == []
    assert len([each for each in page.links if each.startswith("jobs/")]) >= demo.JOBS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_everything_is_stopped_when_it_is_interrupted(command: list[str], number: signal.Signals) -> None:
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if "1/12" in line:
            break
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "\nfarm-demo: interrupted, everything is stopped\n")
    assert ours() == []


def test_a_broker_that_does_not_start_is_told_and_nothing_stays(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.Node, "start", lambda _: (_ for _ in ()).throw(RuntimeError("RabbitMQ did not start")))
    with pytest.raises(RuntimeError, match="did not start"):
        demo.main()
    assert ours() == []
    assert "submit" not in capsys.readouterr().out
