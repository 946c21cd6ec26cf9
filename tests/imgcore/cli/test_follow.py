# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/follow.py: what is told of jobs that others build, and the exit code."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from imgcore.cli import follow
from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.records import a_spool, add


def ended(spool: Spool, image_id: str, status: Status, **changes: object) -> str:
    """A job that has ended."""
    add(spool, image_id)
    with spool.start(image_id) as claim:
        claim.finish(status, "", "", **changes)
    return image_id


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([Status.DONE, Status.DONE], 0),
        ([Status.DONE, Status.ERROR], 1),
        ([Status.CANCELLED, Status.DONE], 130),
        ([Status.CANCELLED, Status.ERROR], 1),
    ],
)
def test_the_exit_code_is_the_worst_of_all(tmp_path: Path, statuses: list[Status], code: int) -> None:
    spool = a_spool(tmp_path)
    ids = [ended(spool, f"job-{number}", status) for number, status in enumerate(statuses)]
    assert follow.follow(spool, ids, quiet=True, told=False) == code


def test_images_go_to_standard_output_and_failures_with_their_remedy_to_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = a_spool(tmp_path)
    good = ended(spool, "good", Status.DONE, image_url="http://x/good.img")
    bad = ended(spool, "bad", Status.ERROR, error="it broke", error_remedy="mend it")
    follow.follow(spool, [good, bad], quiet=False, told=True)
    said = capsys.readouterr()
    assert said.out == "http://x/good.img\n"
    assert said.err == "img: bad: ERROR: it broke (mend it)\n"
    follow.follow(spool, [good, bad], quiet=True, told=True)
    assert capsys.readouterr().out == ""


def test_a_job_is_followed_until_it_has_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spool = a_spool(tmp_path)
    add(spool, "slow")

    def build() -> None:
        time.sleep(0.4)
        with spool.start("slow") as claim:
            claim.update(phase="install", progress=0.5)
            time.sleep(0.6)
            claim.finish(Status.DONE)

    builder = threading.Thread(target=build)
    builder.start()
    assert follow.follow(spool, ["slow"], quiet=False, told=True) == 0
    builder.join()
    said = capsys.readouterr()
    assert [line.partition("] ")[2] for line in said.err.splitlines()] == ["in queue", "install (100)"]
    assert said.out == "slow\n"
