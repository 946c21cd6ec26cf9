# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/choosing.py: how people name a job."""

from __future__ import annotations

import pytest

from imgcore.errors import InputError
from imgcore.job import Status
from imgcore.jobs import choosing
from imgcore.spool import Spool
from tests.support.records import add


def _ended(spool: Spool, image_id: str, status: Status, **fields: str) -> None:
    add(spool, image_id, **fields)
    with spool.start(image_id) as claim:
        claim.finish(status)


@pytest.fixture
def jobs(spool: Spool) -> Spool:
    _ended(spool, "tiny-1", Status.DONE)
    _ended(spool, "tiny-2", Status.DONE)
    _ended(spool, "tiny-3", Status.ERROR)
    add(spool, "tiny-30")
    _ended(spool, "tv-1", Status.DONE, name="tv")
    return spool


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("tiny-1", "tiny-1"),
        ("tiny-3", "tiny-3"),
        ("tiny-30", "tiny-30"),
        ("tv", "tv-1"),
        ("tiny@latest", "tiny-30"),
        ("tiny@good", "tiny-2"),
        ("tiny@failed", "tiny-3"),
        ("tv@good", "tv-1"),
    ],
)
def test_a_job_is_named_by_id_by_a_beginning_that_no_other_has_or_by_its_name(
    jobs: Spool, given: str, meant: str
) -> None:
    assert choosing.one(jobs, given) == meant


@pytest.mark.parametrize("given", ["tx", "tv@failed", "nobody@latest", "tv@newest"])
def test_what_names_no_job_is_none_and_an_error_for_who_must_have_one(jobs: Spool, given: str) -> None:
    assert choosing.find(jobs, given) is None
    with pytest.raises(InputError, match="there is no job"):
        choosing.one(jobs, given)


def test_a_beginning_of_several_is_refused_and_says_which(jobs: Spool) -> None:
    with pytest.raises(InputError, match=r"beginning of 4 jobs: tiny-2, tiny-3, tiny-30 and more"):
        choosing.one(jobs, "tiny")


def test_an_id_that_looks_like_a_choice_is_an_id(jobs: Spool) -> None:
    add(jobs, "tiny@latest")
    assert choosing.one(jobs, "tiny@latest") == "tiny@latest"


@pytest.mark.parametrize("given", ["", "../tiny-1", "-x", "a/b", "\x1b[2J", "n" * 151])
def test_what_cannot_be_an_id_is_refused(jobs: Spool, given: str) -> None:
    with pytest.raises(InputError):
        choosing.find(jobs, given)
