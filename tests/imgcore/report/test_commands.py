"""Proves imgcore/report/commands.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.report import write
from imgcore.spool import Spool
from tests.support import report_spool as jobs
from tests.support.html import Page, parse


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A good job, then one that failed, one that was cancelled, one that waits."""
    spool = Spool(tmp_path / "spool")
    jobs.finished(
        spool, "tv-1", tmp_path / "images", started_at="2025-11-20T10:00:00Z", finished_at="2025-11-20T10:01:00Z"
    )
    jobs.failed(spool, "tv-2", [], error="no vim", cause="package-missing", remedy="add it", name="tv-1")
    jobs.make(spool, "tv-3", name="tv-1")
    with spool.edit("tv-3") as edit:
        edit.move(Status.CANCELLED, "enough", "maija", finished_at="2025-11-24T10:05:00.000000Z")
    jobs.make(spool, "tv-4", name="tv-1")
    write(spool, tmp_path / "site", now=jobs.NOW)
    return tmp_path / "site"


def typed(page: Page) -> list[list[str]]:
    """The commands of `img` on the page, as a shell reads them, but for the one that builds here."""
    found = [shlex.split(each.text) for each in page.all("bdi") if each.text.startswith("img ")]
    return [words for words in found if words[1] != "build"]


@pytest.mark.parametrize(
    ("image_id", "commands"),
    [
        ("tv-1", ["pin tv-1"]),
        ("tv-2", ["retry tv-2", "retry --edit tv-2", "diff tv-1 tv-2", "pin tv-1"]),
        ("tv-3", ["retry tv-3", "retry --edit tv-3", "diff tv-1 tv-3", "pin tv-1"]),
        ("tv-4", ["log -f tv-4", "cancel tv-4"]),
    ],
)
def test_a_job_says_what_to_type_in_its_state(site: Path, image_id: str, commands: list[str]) -> None:
    page = parse(site / "jobs" / image_id / "index.html")
    assert typed(page) == [["img", *each.split()] for each in commands]


def test_of_a_failed_job_the_commands_are_seen_at_once(site: Path) -> None:
    shown = {
        image_id: "open" in each.attributes
        for image_id in ("tv-1", "tv-2")
        for each in parse(site / "jobs" / image_id / "index.html").all("details")
        if "What to type" in each.text
    }
    assert shown == {"tv-1": False, "tv-2": True}


def test_a_name_says_what_to_type_about_its_last_good_and_its_last_failed_build(site: Path) -> None:
    page = parse(site / "names/tv-1.html")
    assert typed(page) == [["img", *each.split()] for each in ("retry tv-2", "diff tv-1 tv-2", "pin tv-1")]


def test_what_failed_and_is_good_since_is_not_to_be_tried_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "tv-1", [], error="no vim", cause="package-missing", remedy="add it", name="tv")
    jobs.finished(spool, "tv-2", tmp_path / "images", name="tv")
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert typed(parse(tmp_path / "site/names/tv.html")) == [["img", "diff", "tv-2", "tv-1"], ["img", "pin", "tv-2"]]


def test_what_took_too_long_can_be_tried_again_with_twice_the_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "tv-1", [], error="too long", cause="time-out", remedy="raise it", timeout=600.0)
    write(spool, tmp_path / "site", now=jobs.NOW)
    typed_here = typed(parse(tmp_path / "site/jobs/tv-1/index.html"))
    (submit,) = [words for words in typed_here if words[1] == "submit"]
    assert submit[2] == str(tmp_path / "spool/jobs/tv-1/kickstart.ks")
    assert submit[-1] == "--timeout=1200s"
