# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/outcome.py: what came of jobs, in figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from imgcore.cli import showing
from imgcore.job import Status
from imgcore.jobs import outcome
from imgcore.jobs.stats import Group
from imgcore.report.row import row
from tests.support.records import a_job

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
BEGAN, ENDED = "2026-01-01T11:58:00Z", "2026-01-01T11:59:30Z"


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"status": Status.DONE, "started_at": BEGAN, "finished_at": ENDED}, 90),
        ({"status": Status.BUILDING, "started_at": BEGAN}, 120),
        ({"status": Status.IN_QUEUE}, 0),
        ({"status": Status.CANCELLED, "finished_at": ENDED}, 0),
        ({"status": Status.DONE, "started_at": ENDED, "finished_at": BEGAN}, 0),
    ],
)
def test_a_job_took_from_its_start_to_its_end_or_to_now(fields: dict[str, Any], seconds: float) -> None:
    job = a_job(**fields)
    assert outcome.took(job, NOW) == row(job, NOW).seconds == seconds


@pytest.mark.parametrize(
    ("kinds", "size"), [(("image", "bmap", "image"), 101), (("archive", "packages"), 1), (("packages", "file"), 11)]
)
def test_delivered_is_the_images_or_else_everything(kinds: tuple[str, ...], size: int) -> None:
    job = a_job(
        artifacts=tuple(
            {"name": f"{number}", "kind": kind, "size": 10**number, "sha256": ""} for number, kind in enumerate(kinds)
        )
    )
    assert outcome.delivered(job) == row(job, NOW).bytes == size
    assert showing.COLUMNS["size"](job) == f"{size} B"


@pytest.mark.parametrize(("good", "failed", "rate"), [(0, 0, None), (3, 0, 100), (999, 1, 99), (2, 1, 66), (0, 5, 0)])
def test_success_is_never_rounded_up(good: int, failed: int, rate: int | None) -> None:
    assert outcome.success(good, failed) == Group(good=good, failed=failed).success == rate
