# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/builds/cancelling.py; that a build ends is proved with the builds."""

from __future__ import annotations

import os
import signal

import pytest

from imgcore import process
from imgcore.builds.cancelling import cancel
from imgcore.errors import Cancelled, InputError
from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.records import add, child


def test_a_job_that_waits_is_cancelled_with_who_and_why(spool: Spool) -> None:
    add(spool)
    job = cancel(spool, "tiny-1", "me", "two\nlines \x1b[31m")
    assert (job.status, job.error_cause) == (Status.CANCELLED, "cancelled")
    assert job.error == "the job was cancelled by me: two lines [31m"
    assert spool.history("tiny-1")[-1]["who"] == "me"
    with pytest.raises(InputError):
        spool.start("tiny-1")


def test_a_cancel_that_comes_twice_is_as_one(spool: Spool) -> None:
    add(spool)
    assert cancel(spool, "tiny-1", "me") == cancel(spool, "tiny-1", "another")


def test_what_has_ended_or_is_unknown_is_not_cancelled(spool: Spool) -> None:
    add(spool)
    with spool.start("tiny-1") as claim:
        claim.finish(Status.DONE)
    with pytest.raises(InputError, match="is DONE already"):
        cancel(spool, "tiny-1")
    with pytest.raises(InputError, match="no job"):
        cancel(spool, "other")


def test_the_process_hears_of_it_after_the_record_says_so(spool: Spool) -> None:
    add(spool)
    body = (
        "import os, signal\n"
        # Not by print, in which the signal may have come.
        "def end(*_): os.write(1, f'{spool.read(\"tiny-1\").status}\\n'.encode()); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "with spool.start('tiny-1') as claim:\n    print('there', flush=True)\n    time.sleep(60)"
    )
    with child(spool, body) as worker:
        assert worker.stdout and worker.stdout.readline() == "there\n"
        cancel(spool, "tiny-1")
        assert worker.stdout.readline() == "CANCELLED\n"
        assert worker.wait(10) == 7


def test_this_process_is_not_ended(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    add(spool)
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *given: sent.append(1))
    with pytest.raises(Cancelled), spool.start("tiny-1"):
        assert cancel(spool, "tiny-1").status is Status.CANCELLED
    assert sent == []


def test_a_process_that_has_the_number_of_the_worker_now_is_left_alone(spool: Spool) -> None:
    add(spool)
    with child(spool, "time.sleep(60)") as other:
        worker = {**process.this(), "pid": other.pid, "start_ticks": 1}
        assert process.end(worker) is False  # type: ignore[arg-type]
        assert process.end({**process.this(), "pid": other.pid, "host": "elsewhere"}) is False  # type: ignore[typeddict-item]
        assert other.poll() is None
        os.kill(other.pid, signal.SIGKILL)
