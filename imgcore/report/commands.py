# SPDX-License-Identifier: GPL-2.0-or-later
"""What to type about a job on a machine that has its spool: to try again, to compare, to keep, to follow, to stop."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from imgcore.job import FINAL, GOOD, Job, Status
from imgcore.jobs.outcome import took
from imgcore.report import changes
from imgcore.report.howto import Step
from imgcore.report.row import Row
from imgcore.spool import Spool

__all__ = ["between", "of"]

#: Seconds, 30 years: a record may have any number.
_LONGEST = 1e9


def of(spool: Spool, job: Job, before: Row | None) -> Iterator[Step]:
    """The commands for a job whose last good image before it is `before`."""
    if job.status not in FINAL:
        yield _step("Follow its log", "log", "-f", job.image_id)
        yield _step("Stop it", "cancel", job.image_id)
    if job.status in (Status.ERROR, Status.CANCELLED):
        yield _step("Try it again as it is, by a worker", "retry", job.image_id)
        yield _step("Change its kickstart, and try again, by a worker", "retry", "--edit", job.image_id)
    # Where the limit was the worker's own, it is what the job took.
    if job.error_cause == "time-out" and (limit := job.timeout or took(job)):
        more = _timeout(2 * limit)
        yield _step("Try it again with twice the time, by a worker", "retry", more, job.image_id)
    if job.status in FINAL and before:
        yield _step("Compare it with the last good one", "diff", before.image_id, job.image_id)
    if job.pinned:
        yield _step("Keep it no longer", "unpin", job.image_id)
    elif job.status in GOOD:
        yield _step("Keep it, whatever is cleaned away", "pin", job.image_id)
    elif job.status in FINAL and before:
        yield _step("Keep the last good one, whatever is cleaned away", "pin", before.image_id)
    # With the same time stamps the same packages give the same bytes.
    same = [f"SOURCE_DATE_EPOCH={job.source_date_epoch}"] if job.source_date_epoch and job.status in GOOD else []
    yield Step("Build the same here, without a worker", shlex.join([*same, *_build(spool, job)]))


def between(good: Row, bad: Row) -> Iterator[Step]:
    """The commands for a name whose last builds are these."""
    if bad.order > good.order:
        yield _step("Try the failed one again, by a worker", "retry", bad.image_id)
    yield _step("Compare the two, file by file too", "diff", good.image_id, bad.image_id)
    yield _step("Keep the good one, whatever is cleaned away", "pin", good.image_id)


def _step(purpose: str, *words: str) -> Step:
    return Step(purpose, shlex.join(["img", *words]))


def _build(spool: Spool, job: Job) -> list[str]:
    """`img build` with all that was asked for."""
    words = ["img", "build", str(spool.directory(job.image_id) / "kickstart.ks")]
    words += ["--name", job.name, "--type", job.image_type, "--arch", job.arch]
    if job.tokenmap:
        words += [
            "--tokenmap",
            ",".join(f"{key}:{changes.hide(key, str(value))}" for key, value in job.tokenmap.items()),
        ]
    for option, values in (
        ("--extra-repo", job.extra_repos),
        ("--package", job.packages),
        ("--group", job.groups),
        ("--opt", job.extra_opts),
        ("--tag", job.tags),
    ):
        words += [f"{option}={value}" for value in values]
    if job.timeout:
        words.append(_timeout(job.timeout))
    return words


def _timeout(seconds: float) -> str:
    return f"--timeout={math.ceil(min(seconds, _LONGEST))}s"
