# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/admission.py."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imgcore import job as jobs
from imgcore.errors import InputError
from imgcore.job import Job, Status
from imgcore.jobs.admission import Admitted, admit, digest, retry
from imgcore.request import Request, parse
from imgcore.spool import Spool
from tests.support.records import child

IMAGE = {"kickstart": "lang C\n", "name": "n", "arch": "x86_64", "image_type": "raw"}


def wanted(**fields: Any) -> Request:
    return parse({**IMAGE, **fields})


def asked(spool: Spool, max_age: float | None = None, **fields: Any) -> Admitted:
    return admit(spool, wanted(**fields), reuse=True, max_age=max_age)


def end(spool: Spool, image_id: str, status: Status = Status.DONE, days_ago: float = 0) -> Job:
    finished = jobs.timestamp(datetime.now(UTC) - timedelta(days=days_ago))
    with spool.edit(image_id) as edit:
        if edit.job.status is Status.IN_QUEUE:
            edit.move(Status.BUILDING, worker={"host": "elsewhere"})
        return edit.move(status, finished_at=finished)


def test_a_request_is_a_new_job_each_time(spool: Spool) -> None:
    ids = {admit(spool, wanted()).job.image_id for _ in range(3)}
    assert sorted(ids) == spool.ids()
    assert len(ids) == 3


def test_the_same_step_gets_the_same_job_however_often_it_asks(spool: Spool) -> None:
    first = admit(spool, wanted(), step="w!s!0")
    end(spool, first.job.image_id, Status.ERROR)
    again = admit(spool, wanted(), step="w!s!0")
    assert (again.job.image_id, again.found) == (first.job.image_id, False)
    assert admit(spool, wanted(), step="w!s!1").job.image_id != first.job.image_id


@pytest.mark.parametrize("status", [Status.IN_QUEUE, Status.BUILDING, Status.DONE, Status.TESTED])
def test_an_equal_job_is_taken_that_has_an_image_or_will_have_one(spool: Spool, status: Status) -> None:
    first = admit(spool, wanted()).job
    with spool.edit(first.image_id) as edit:
        for step in {Status.TESTED: (Status.BUILDING, Status.DONE, status)}.get(status, (Status.BUILDING, status)):
            if step is not edit.job.status and status is not Status.IN_QUEUE:
                edit.move(step, **({"worker": {"host": "elsewhere"}} if step is Status.BUILDING else {}))
    found = asked(spool)
    assert (found.job.image_id, found.found) == (first.image_id, True)


@pytest.mark.parametrize("status", [Status.ERROR, Status.CANCELLED])
def test_a_job_that_has_no_image_is_not_taken(spool: Spool, status: Status) -> None:
    first = admit(spool, wanted()).job
    end(spool, first.image_id, status)
    assert asked(spool).found is False


def test_a_job_whose_worker_has_died_is_not_waited_for(spool: Spool) -> None:
    first = admit(spool, wanted()).job
    with child(spool, f"spool.start({first.image_id!r}); import os; os._exit(0)") as process:
        process.wait()
    assert asked(spool).found is False


@pytest.mark.parametrize(("days_ago", "max_age", "found"), [(3, 4, True), (3, 2, False), (300, None, True)])
def test_an_image_is_taken_while_it_is_young_enough(
    spool: Spool, days_ago: float, max_age: float | None, found: bool
) -> None:
    end(spool, admit(spool, wanted()).job.image_id, days_ago=days_ago)
    assert asked(spool, max_age).found is found


def test_the_newest_of_several_images_is_taken(spool: Spool) -> None:
    for each in range(3):
        end(spool, admit(spool, wanted(), stem=f"s{each}").job.image_id)
    admit(spool, wanted(), stem="waits")
    assert asked(spool).job.image_id.startswith("s2-")


@pytest.mark.parametrize(
    "other",
    [
        {"kickstart": "lang C \n"}, {"arch": "i586"}, {"image_type": "fs"}, {"tokenmap": "A:2"}, {"packages": ["p"]},
        {"groups": ["g"]}, {"extra_repos": ["http://r/"]}, {"extra_opts": ["--shrink"]},
    ],
)  # fmt: skip
def test_what_goes_into_an_image_makes_requests_different(spool: Spool, other: dict[str, Any]) -> None:
    assert digest(wanted(tokenmap="A:1")) != digest(wanted(**{"tokenmap": "A:1", **other}))


def test_who_asks_and_how_makes_no_difference() -> None:
    others = {"user": "me", "tags": ["t"], "priority": "high", "prefix": "p", "tokenmap": {"B": "2", "A": "1"}}
    assert digest(wanted(**others)) == digest(wanted(tokenmap="A:1,B:2"))


def test_many_who_ask_at_once_get_one_job(spool: Spool) -> None:
    with ThreadPoolExecutor(8) as pool:
        admitted = list(pool.map(lambda _: asked(Spool(spool.root)), range(24)))
    assert len({each.job.image_id for each in admitted}) == 1
    assert sum(not each.found for each in admitted) == 1


def test_jobs_are_found_also_after_the_index_was_lost(spool: Spool) -> None:
    first = admit(spool, wanted(), step="w!s!0").job
    shutil.rmtree(spool.root / "index")
    later = Spool(spool.root)
    assert asked(later).job.image_id == first.image_id
    assert admit(later, wanted(), step="w!s!0").job.image_id == first.image_id


def test_a_request_with_the_id_of_an_ended_job_is_another_attempt(spool: Spool) -> None:
    first = admit(spool, wanted(), stem="77").job
    end(spool, first.image_id, Status.ERROR)
    second = admit(spool, wanted(image_id=first.image_id)).job
    assert (second.retry_of, second.attempt) == (first.image_id, 2)
    assert second.image_id != first.image_id and second.image_id.startswith("77-20")


def test_a_request_with_the_id_of_a_job_that_waits_is_that_job(spool: Spool) -> None:
    first = admit(spool, wanted()).job
    assert admit(spool, wanted(image_id=first.image_id)).job == first
    assert admit(spool, wanted(image_id="nobody-knows-it")).job.retry_of == ""


def test_a_retry_is_a_new_job_for_the_same_request(spool: Spool) -> None:
    kept = {"tokenmap": "A:1", "packages": ["p"], "emails": "a@b.org", "timeout": 60, "queue": "q"}
    first = admit(spool, wanted(**kept, priority="high")).job
    end(spool, first.image_id, Status.ERROR)
    second = retry(spool, first.image_id, who="me")
    third = retry(spool, end(spool, second.image_id, Status.CANCELLED).image_id, changes={"priority": ""})
    assert (second.attempt, second.retry_of, third.attempt, third.retry_of) == (2, first.image_id, 3, second.image_id)
    assert spool.kickstart(third.image_id) == b"lang C\n"
    for name in (*kept, "name", "arch", "image_type", "request_digest"):
        assert getattr(third, name) == getattr(first, name)
    assert (second.priority, third.priority) == ("high", "")
    assert spool.history(second.image_id)[0]["who"] == "me"
    assert spool.read(first.image_id).status is Status.ERROR


def test_a_retry_can_ask_for_something_else_and_tells_of_what_but_not_the_values(spool: Spool) -> None:
    first = admit(spool, wanted(tokenmap="A:1", timeout=60)).job
    end(spool, first.image_id, Status.ERROR)
    changes = {"timeout": 120.0, "tokenmap": {"A": "s3same"}, "priority": ""}
    second = retry(spool, first.image_id, changes=changes, kickstart=b"lang fi\n")
    assert (second.timeout, second.tokenmap, second.priority) == (120.0, {"A": "s3same"}, "")
    assert second.request_digest == digest(wanted(tokenmap="A:s3same", kickstart="lang fi\n"))
    told = spool.history(second.image_id)[0]["reason"]
    assert told == f"attempt 2, after {first.image_id}, with another kickstart and timeout and tokenmap"


@pytest.mark.parametrize("changes", [{"timeout": -1}, {"tokenmap": {"A B": "1"}}])
def test_what_a_retry_asks_for_is_checked_as_any_request(spool: Spool, changes: dict[str, Any]) -> None:
    first = admit(spool, wanted()).job
    end(spool, first.image_id, Status.ERROR)
    with pytest.raises(InputError):
        retry(spool, first.image_id, changes=changes)
    assert spool.ids() == [first.image_id]


def test_what_has_not_ended_is_not_tried_again(spool: Spool) -> None:
    first = admit(spool, wanted()).job
    with pytest.raises(InputError, match="is IN QUEUE, it has not ended"):
        retry(spool, first.image_id)
    with pytest.raises(InputError, match="no job"):
        retry(spool, "other")
