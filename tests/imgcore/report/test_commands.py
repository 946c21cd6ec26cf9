# SPDX-License-Identifier: GPL-2.0-or-later
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


def test_what_is_kept_can_be_let_go_of(site: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with spool.edit("tv-1") as edit:
        edit.note("shown at the fair", pinned=True)
    write(spool, site, now=jobs.NOW)
    assert typed(parse(site / "jobs/tv-1/index.html")) == [["img", "unpin", "tv-1"]]


def test_a_job_that_is_built_is_not_compared_before_it_has_ended(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "tv-1", tmp_path / "images", name="tv")
    with jobs.running(spool, "tv-2", name="tv"):
        write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/jobs/tv-2/still.html")
    assert typed(page) == [["img", "log", "-f", "tv-2"], ["img", "cancel", "tv-2"]]


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


@pytest.mark.parametrize(("timeout", "more"), [(600.0, "1200s"), (0.0, "20s")], ids=["asked for", "the worker's"])
def test_what_took_too_long_can_be_tried_again_with_twice_the_time(tmp_path: Path, timeout: float, more: str) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "tv-1", [], error="too long", cause="time-out", remedy="raise it", timeout=timeout)
    write(spool, tmp_path / "site", now=jobs.NOW)
    typed_here = typed(parse(tmp_path / "site/jobs/tv-1/index.html"))
    assert ["img", "retry", f"--timeout={more}", "tv-1"] in typed_here


def test_what_ended_otherwise_or_has_no_time_is_not_to_be_given_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "tv-1", [], error="no vim", cause="package-missing", remedy="add it", timeout=600.0)
    jobs.failed(spool, "tv-2", [], error="too long", cause="time-out", remedy="raise it", started_at="")
    write(spool, tmp_path / "site", now=jobs.NOW)
    for image_id in ("tv-1", "tv-2"):
        assert "--timeout" not in str(typed(parse(tmp_path / f"site/jobs/{image_id}/index.html")))


def test_the_build_here_is_what_was_asked_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "tv-1", name="tv", packages=("strace", "vim"), groups=("tools",), extra_opts=("--shrink",),
              tags=("nightly",), extra_repos=("http://r.example.org/",), timeout=90.0,
              tokenmap={"RELEASE": "5.1", "DB_PASSWORD": "hush"})  # fmt: skip
    write(spool, tmp_path / "site", now=jobs.NOW)
    found = parse(tmp_path / "site/jobs/tv-1/index.html").all("bdi")
    (words,) = [shlex.split(each.text)[2:] for each in found if each.text.startswith("img build /")]
    assert words[0] == str(tmp_path / "spool/jobs/tv-1/kickstart.ks")
    assert words[1:7] == ["--name", "tv", "--type", "raw", "--arch", "x86_64"]
    assert words[7] == "--tokenmap" and words[8].startswith("RELEASE:5.1,DB_PASSWORD:") and "hush" not in words[8]
    assert words[9:] == [
        "--extra-repo=http://r.example.org/", "--package=strace", "--package=vim", "--group=tools", "--opt=--shrink",
        "--tag=nightly", "--timeout=90s",
    ]  # fmt: skip


def test_the_build_here_of_a_good_job_alone_has_its_time_stamps(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "tv-1", tmp_path / "images")
    jobs.failed(spool, "tv-2", [], error="no vim", cause="package-missing", remedy="add it",
                source_date_epoch=1763978400)  # fmt: skip
    write(spool, tmp_path / "site", now=jobs.NOW)
    for image_id, begins in (("tv-1", "SOURCE_DATE_EPOCH=1763978400 img build "), ("tv-2", "img build ")):
        found = [each.text for each in parse(tmp_path / "site/jobs" / image_id / "index.html").all("bdi")]
        assert [each[: len(begins)] for each in found if " --name " in each] == [begins]


def test_a_time_limit_without_end_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "tv-1", [], error="too long", cause="time-out", remedy="raise it", timeout=1e308)
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert (tmp_path / "site/jobs/tv-1/index.html").read_text().count("--timeout=1000000000s") == 2
