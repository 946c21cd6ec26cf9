# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves participants/request_image.py."""

from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.job import Status
from imgcore.spool import Spool
from participants.request_image import ParticipantHandler
from RuoteAMQP import Workitem

IMAGE = {"kickstart": "lang C\n", "name": "n", "arch": "x86_64", "image_type": "raw"}


def request(spool: Path, step: str = "", **fields: Any) -> Workitem:
    handler = ParticipantHandler()
    handler.config = Config(spool=spool)
    item = Workitem({"fields": fields, "fei": {"wfid": "w", "expid": step}})
    handler.handle_wi(item)
    return item


def get_or_create(spool: Path, **fields: Any) -> Workitem:
    max_age = {"max_age": fields.pop("max_age")} if "max_age" in fields else {}
    return request(spool, image={**IMAGE, **fields}, params={"action": "get_or_create", **max_age})


def built(spool: Path, image_id: str) -> None:
    with Spool(spool).start(image_id) as claim:
        claim.finish(Status.DONE, image_url="http://x/i", files_url="http://x/", logfile_url="http://x/l")


def test_a_job_is_recorded_and_its_id_told(tmp_path: Path) -> None:
    item = request(tmp_path, image={**IMAGE, "tokenmap": "A:1"}, ev={"id": 77})
    assert item.fields.image.image_id.startswith("77-20")
    job = Spool(tmp_path).read(item.fields.image.image_id)
    assert (job.status, job.name, job.tokenmap) == (Status.IN_QUEUE, "n", {"A": "1"})
    assert Spool(tmp_path).kickstart(job.image_id) == b"lang C\n"
    assert item.result is True


def test_two_requests_at_the_same_time_are_two_jobs(tmp_path: Path) -> None:
    ids = {request(tmp_path, image=dict(IMAGE)).fields.image.image_id for _ in range(5)}
    assert len(ids) == 5
    assert sorted(Spool(tmp_path).ids()) == sorted(ids)


def test_the_prefix_is_of_queue_and_user(tmp_path: Path) -> None:
    assert request(tmp_path, image={**IMAGE, "queue": "q", "user": "me"}).fields.image.prefix == "q/me"
    assert request(tmp_path, image=dict(IMAGE)).fields.image.prefix == "requests"


def test_older_processes_have_the_fields_flat(tmp_path: Path) -> None:
    assert request(tmp_path, **IMAGE).fields.image_id in Spool(tmp_path).ids()


@pytest.mark.parametrize("image", [{}, {**IMAGE, "name": "../x"}, {**IMAGE, "prefix": "/etc"}])
def test_what_cannot_be_built_is_not_recorded(tmp_path: Path, image: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        request(tmp_path / "spool", image=image)
    assert not (tmp_path / "spool").exists()


def test_the_same_step_asked_again_is_the_same_job(tmp_path: Path) -> None:
    first = request(tmp_path, "0_1", image=dict(IMAGE))
    again = request(tmp_path, "0_1", image=dict(IMAGE))
    assert again.to_h() == first.to_h()
    assert Spool(tmp_path).ids() == [first.fields.image.image_id]
    assert Spool(tmp_path).read(first.fields.image.image_id).request_step == first.step


def test_get_or_create_makes_a_job_where_there_is_none(tmp_path: Path) -> None:
    image = get_or_create(tmp_path).fields.image
    assert (image.found, image.image_url, image.status) == (False, None, None)
    assert Spool(tmp_path).ids() == [image.image_id]


def test_get_or_create_says_where_the_image_is_that_is_there(tmp_path: Path) -> None:
    made = request(tmp_path, image={**IMAGE, "prefix": "p"}).fields.image.image_id
    built(tmp_path, made)
    item = get_or_create(tmp_path, max_age="7")
    image = item.fields.image
    assert (image.found, image.status, image.image_id, image.prefix) == (True, "DONE", made, "p")
    assert (image.image_url, image.files_url, image.logfile_url) == ("http://x/i", "http://x/", "http://x/l")
    assert item.fields.msg == [f"{made} is taken, which is DONE"]
    assert item.result is True


def test_get_or_create_takes_no_other_image_and_none_that_is_too_old(tmp_path: Path) -> None:
    made = request(tmp_path, image=dict(IMAGE)).fields.image.image_id
    built(tmp_path, made)
    assert get_or_create(tmp_path, kickstart="lang D\n").fields.image.found is False
    assert get_or_create(tmp_path, max_age=0).fields.image.found is False


@pytest.mark.parametrize(
    "params", [{"action": "destroy"}, {"max_age": "old"}, {"max_age": -1}, {"max_age": "nan"}, {"max_age": True}]
)
def test_a_parameter_that_cannot_be_meant_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"param {next(iter(params))}"):
        request(tmp_path, image=dict(IMAGE), params=params)


def test_the_next_attempt_is_a_job_of_its_own_that_knows_the_one_before(tmp_path: Path) -> None:
    first = request(tmp_path, "0", image=dict(IMAGE)).fields.image.image_id
    with Spool(tmp_path).edit(first) as edit:
        edit.move(Status.ERROR, error="it failed")
    item = request(tmp_path, "1", image={**IMAGE, "image_id": first, "error": "it failed", "status": "ERROR"})
    job = Spool(tmp_path).read(item.fields.image.image_id)
    assert (job.retry_of, job.attempt, job.status) == (first, 2, Status.IN_QUEUE)
    assert item.fields.msg == [f"{job.image_id} is attempt 2, after {first}"]
    assert (item.fields.image.error, item.fields.image.status) == (None, None)


def test_what_is_for_people_is_in_the_record(tmp_path: Path) -> None:
    told = {"emails": "a@b.org, c@d.org", "devicegroup": "tablets", "release": "1.2", "queue": "q", "tags": ["t"]}
    job = Spool(tmp_path).read(request(tmp_path, image={**IMAGE, **told}).fields.image.image_id)
    assert (job.emails, job.devicegroup, job.release) == (("a@b.org", "c@d.org"), "tablets", "1.2")
    assert (job.queue, job.tags, job.priority) == ("q", ("t",), "")


@pytest.mark.parametrize("where", [{"priority": "high"}, {"image": {**IMAGE, "priority": "high"}}])
def test_the_priority_may_be_the_image_s_or_the_process_s(tmp_path: Path, where: dict[str, Any]) -> None:
    item = request(tmp_path, **{"image": dict(IMAGE), **where})
    assert Spool(tmp_path).read(item.fields.image.image_id).priority == "high"


@pytest.mark.parametrize("field", ["emails", "devicegroup", "release", "queue"])
@pytest.mark.parametrize("value", ["<script>", "a\nb", "../x", "x" * 1000])
def test_what_is_for_people_is_checked_like_the_rest(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(InputError):
        request(tmp_path, image={**IMAGE, field: value})
