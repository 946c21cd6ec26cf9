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


def request(spool: Path, **fields: Any) -> Workitem:
    handler = ParticipantHandler()
    handler.config = Config(spool=spool)
    item = Workitem({"fields": fields, "fei": {"wfid": "w"}})
    handler.handle_wi(item)
    return item


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
