# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands on the pages, and that nothing from outside gets further than being text."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import jsonschema
import pytest

from imgcore.job import Status
from imgcore.report import Report, index, service, text, write
from imgcore.report.ledger import Ledger
from imgcore.report.row import NEVER, Row, State
from imgcore.spool import Spool
from tests.support import report_spool as jobs
from tests.support.html import Page, broken_links, parse

#: Every attribute that our templates use: another one came from outside.
ATTRIBUTES = {
    "aria-current", "aria-hidden", "aria-label", "aria-labelledby", "autocomplete", "charset", "class", "content",
    "d", "data-arch", "data-building", "data-cancelled", "data-damaged", "data-done", "data-failed", "data-label",
    "data-name", "data-queued", "data-refresh", "data-sort", "data-state", "data-tested", "data-type", "data-user",
    "datetime", "defer", "focusable", "height", "hidden", "href", "http-equiv", "id", "lang", "max", "name", "open",
    "preserveaspectratio", "rel", "role", "scope", "src", "tabindex", "title", "type", "value", "viewbox", "width",
    "x", "y",
}  # fmt: skip
TAGS = {
    "a", "b", "bdi", "body", "caption", "code", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer",
    "h1", "h2", "h3", "head", "header", "html", "input", "label", "li", "link", "main", "mark", "meta", "nav",
    "noscript", "ol", "option", "output", "p", "path", "pre", "progress", "rect", "script", "section", "select",
    "span", "summary", "svg", "table", "tbody", "td", "tfoot", "th", "thead", "time", "title", "tr", "ul",
}  # fmt: skip
ATOM = {"feed", "generator", "id", "title", "updated", "author", "name", "link", "entry", "category", "summary"}
SVG = {"svg", "title", "rect", "g", "text"}
METRIC = r'(#.*|imager_[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"\})? [0-9.e+]+|)'


@dataclass
class Written:
    site: Path
    spool: Spool

    def page(self, image_id: str, name: str = "index.html") -> Page:
        return parse(self.site / "jobs" / image_id / name)

    @property
    def index(self) -> Page:
        return parse(self.site / "index.html")

    @property
    def pages(self) -> list[Page]:
        return [parse(path) for path in sorted(self.site.rglob("*.html"))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    place = tmp_path_factory.mktemp("report")
    spool = Spool(place / "spool")
    with jobs.every_state(spool, place / "images"):
        write(spool, place / "site", now=jobs.NOW)
        yield Written(place / "site", spool)


def squeezed(page: Page) -> str:
    return " ".join(page.text.split())


def assert_sound(page: Page, site: Path) -> None:
    assert page.faults == []
    assert {each.tag for each in page.elements} <= TAGS
    assert {key for each in page.elements for key in each.attributes} <= ATTRIBUTES
    assert len(page.ids) == len(set(page.ids))
    assert broken_links(page, site) == []
    for each in page.elements:
        for key in ("href", "src"):
            scheme = urlsplit(each.attributes.get(key, "")).scheme
            allowed = ("", "data") if each.tag == "link" else ("", "http", "https", "ftp", "file")
            assert scheme in allowed, each
    policy = next(each.attributes["content"] for each in page.all("meta") if "http-equiv" in each.attributes)
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; ")
    assert "unsafe" not in policy
    assert [each.text for each in page.all("script")] == [""]


def assert_feeds_sound(site: Path, image_id: str) -> None:
    told = json.loads((site / "jobs" / f"{image_id}.json").read_bytes())
    jsonschema.validate(told, json.loads((site / "job.schema.json").read_bytes()))
    assert json.loads((site / "index.json").read_bytes())["generator"] == "Imager"
    feed = ElementTree.parse(site / "feed.atom")
    assert {each.tag for each in feed.iter()} <= {f"{{http://www.w3.org/2005/Atom}}{tag}" for tag in ATOM}
    for path in (site / "badges").iterdir():
        badge = ElementTree.parse(path)
        assert {each.tag for each in badge.iter()} <= {f"{{http://www.w3.org/2000/svg}}{tag}" for tag in SVG}
    for line in (site / "metrics.prom").read_text(encoding="utf-8").split("\n"):
        assert re.fullmatch(METRIC, line), line


def test_every_page_nests_has_a_strict_policy_and_only_links_that_lead_somewhere(written: Written) -> None:
    assert len(written.pages) == 21  # 12 of the jobs and the index, a part of a log, 7 names, the failures
    for page in written.pages:
        assert_sound(page, written.site)


def test_no_page_asks_anybody_for_anything_but_the_style_sheet_and_the_script_of_the_site(written: Written) -> None:
    for page in written.pages:
        loaded = [each for each in page.all("link") if not each.attributes["href"].startswith("data:")]
        assert [each.attributes["rel"] for each in loaded] == ["stylesheet", "alternate"]
        asked = [loaded[0].attributes["href"], *(each.attributes["src"] for each in page.all("script"))]
        assert [urlsplit(each).path.rpartition("/")[2] for each in asked] == ["imager.css", "imager.js"]
        assert not any(urlsplit(each).netloc for each in asked)
    css = (written.site / "imager.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_tables_have_captions_and_every_header_says_what_it_heads(written: Written) -> None:
    for page in written.pages:
        assert len(page.all("table")) == len(page.all("caption"))
        assert all(each.attributes.get("scope") in ("row", "col") for each in page.all("th"))


def test_the_index_has_running_then_queued_then_damaged_then_finished(written: Written) -> None:
    assert [each.text for each in written.index.all("h2")] == [
        "State of the service", "Running", "In queue", "Damaged records", "Finished",
    ]  # fmt: skip
    order = [each.text for each in written.index.elements if each.attributes.get("class") == "name"]
    assert order == [
        "tablet", "watch", "watch", "aside-20251124-060000", "broken-20251124-070000", "device", "slow",
        "phone", "car", "tv",
    ]  # fmt: skip


def test_the_index_counts_each_state(written: Written) -> None:
    counts = [
        " ".join(each.text.split()) for each in written.index.elements if "count " in each.attributes.get("class", "")
    ]
    assert counts == [
        "1 Building", "2 In queue", "1 Done", "1 Done, tested", "2 Failed", "1 Cancelled", "2 Damaged record",
    ]  # fmt: skip


def test_the_index_says_what_runs_how_far_it_is_and_for_how_long(written: Written) -> None:
    told = squeezed(written.index)
    assert "install" in told
    assert "62 %" in told
    assert "package-9-1.0-1.x86_64 (9 of 14)" in told
    assert "1 min 10 s" in told
    assert written.index.all("progress")[0].attributes["value"] == "62"


def test_the_index_says_why_jobs_failed_and_what_is_wrong_with_damaged_ones(written: Written) -> None:
    told = squeezed(written.index)
    assert "plan.kickstart, line 12: package busybocks is in none of the repositories (base, extra)" in told
    assert "it is not JSON" in told
    assert "field progress must be a number between 0 and 1" in told


def test_an_empty_spool_says_what_to_do_next(tmp_path: Path) -> None:
    write(Spool(tmp_path / "spool"), tmp_path / "site")
    page = parse(tmp_path / "site" / "index.html")
    assert_sound(page, tmp_path / "site")
    assert "No job yet" in page.text
    assert "img build device.ks" in page.text


def test_a_failed_job_says_on_top_why_what_to_do_and_what_the_log_says(written: Written) -> None:
    page = written.page("phone-20251124-103000")
    assert page.all("h2")[0].text == "Why it failed"
    top = page.all("section")[0].text
    assert "package busybocks is in none of the repositories" in top
    assert "What to do: did you mean busybox?" in top
    assert "package-missing" in top
    kickstart = [each.text for each in page.all("mark") if each.text == "busybocks"]
    assert len(kickstart) == 2  # line 12: in the excerpt and in the kickstart
    assert "#K12" in page.links
    marked = [each.text for each in page.all("mark") if each.text != "busybocks"]
    assert len(marked) == 2  # in the excerpt and in the log
    assert all(each.startswith("error: plan.kickstart, line 12: package busybocks") for each in marked)
    cause = next(
        each
        for each in page.elements
        if "cause" in each.attributes.get("class", "").split() and "id" in each.attributes
    )
    assert f"#{cause.attributes['id']}" in page.links


def test_a_job_that_was_stopped_shows_where_its_log_ends(written: Written) -> None:
    page = written.page("slow-20251124-080000")
    assert "Where the log ends" in page.text
    assert page.all("mark") == []
    assert "The last 300 of 700 lines" in squeezed(page)
    assert sum(1 for each in page.elements if re.fullmatch(r"L\d+", each.attributes.get("id", ""))) == 300


def test_a_finished_job_lists_its_artifacts_with_size_digest_and_use(written: Written) -> None:
    page = written.page("device-20251124-110000")
    told = squeezed(page)
    assert "1.2 GiB 1,288,490,188 bytes" in told
    assert "ab" * 32 in told
    assert "sudo bmaptool copy device-sda.raw /dev/sdX" in told
    place = (written.spool.root.parent / "images/requests/device-20251124-110000").as_uri()
    assert f"{place}/device-sda.raw" in page.links
    assert f"{place}/device-sda.raw.bmap" in page.links
    assert f"{place}/device.log" in page.links


def test_a_finished_job_shows_its_phases_resources_packages_and_history(written: Written) -> None:
    page = written.page("device-20251124-110000")
    told = squeezed(page)
    assert "install 48.9 s 50 %" in told
    assert "Whole build 1 min 38 s" in told
    assert "412.0 MiB" in told
    assert "47 packages in the image" in told
    assert "package-3 1:1.3-1 x86_64 base" in told
    assert "IN QUEUE BUILDING claimed worker-1" in told
    bars = [each for each in page.all("rect") if each.attributes["class"] == "did"]
    assert len(bars) == 9
    starts = [float(each.attributes["x"]) for each in bars]
    assert starts == sorted(starts)
    assert all(start + float(each.attributes["width"]) <= 1004 for start, each in zip(starts, bars, strict=True))


def test_a_job_says_what_was_asked_without_its_secrets(written: Written) -> None:
    page = written.page("device-20251124-110000")
    told = squeezed(page)
    for each in ("raw for x86_64", "RELEASE = 5.1", "--generate-bmap", "strace", "tools", "nightly", "1 h 00 min"):
        assert each in told
    assert "http://repo.example.org/extra/" in page.links
    again = next(each.text for each in page.all("bdi") if " img build " in each.text)
    assert shlex.split(again) == [
        *("SOURCE_DATE_EPOCH=1763978400", "img", "build"),
        str(written.spool.directory("device-20251124-110000") / "kickstart.ks"),
        *("--name", "device", "--type", "raw", "--arch", "x86_64"),
        *("--tokenmap", "RELEASE:5.1,DB_PASSWORD:•••", "--extra-repo=http://repo.example.org/extra/"),
        "--extra-repo=http://•••@repo.example.org/private/",
        *(
            "--package=strace",
            "--group=tools",
            "--opt=--generate-bmap",
            "--tag=nightly",
            "--tag=5.1",
            "--timeout=3600s",
        ),
    ]
    whole = (written.site / "jobs/device-20251124-110000/index.html").read_text()
    for secret in ("s3same", "tops3cret", "letmein", "hush"):
        assert secret not in whole


def test_only_what_runs_refreshes_itself_and_it_can_be_held_still(written: Written) -> None:
    refreshing = {
        str(page.path.relative_to(written.site))
        for page in written.pages
        if any(each.attributes.get("http-equiv") == "refresh" for each in page.all("meta"))
    }
    assert refreshing == {"index.html", "jobs/tablet-20251124-115800/index.html"}
    assert "still.html" in written.page("tablet-20251124-115800").links
    assert "index.html" in written.page("tablet-20251124-115800", "still.html").links


def test_a_running_job_shows_its_phase_and_the_end_of_its_log(written: Written) -> None:
    page = written.page("tablet-20251124-115800")
    told = squeezed(page)
    assert "Now: install" in told
    assert "install running 46.1 s" in told
    assert written.spool.log("tablet-20251124-115800").as_uri() in page.links


def test_of_a_running_job_whose_earlier_phases_are_unknown_no_time_line_is_made_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "d-1")
    with spool.start("d-1") as claim:
        claim.update(phase="install", progress=0.5)
        write(spool, tmp_path / "site")
    assert not parse(tmp_path / "site/jobs/d-1/index.html").all("rect")


def test_a_cancelled_job_says_why(written: Written) -> None:
    assert "no longer wanted" in written.page("car-20251124-100000").all("section")[0].text
    assert "no longer wanted" in written.index.text


def test_a_damaged_job_shows_what_there_still_is_of_it(written: Written) -> None:
    page = written.page("broken-20251124-070000")
    assert "it is not JSON" in page.all("section")[0].text
    assert "img fsck --repair" in page.text
    assert "%packages" in page.text
    assert "IN QUEUE" in page.text


def test_a_job_whose_worker_is_gone_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "lost-1")
    pid = os.fork()
    if pid == 0:
        spool.start("lost-1")
        os._exit(0)
    os.waitpid(pid, 0)
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert "Its worker is gone" in parse(tmp_path / "site/jobs/lost-1/index.html").text
    assert "its worker is gone" in parse(tmp_path / "site/index.html").text


def test_a_job_that_another_machine_builds_is_not_shown_as_dead(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "far-1")
    with spool.edit("far-1") as edit:
        edit.move(Status.BUILDING, worker={"host": "elsewhere", "pid": 1}, started_at="2025-11-24T11:58:50Z")
    write(spool, tmp_path / "site", now=jobs.NOW)
    for page in ("jobs/far-1/index.html", "index.html"):
        text = parse(tmp_path / "site" / page).text
        assert "worker is gone" not in text
        assert "1 min 10 s" in text


def test_times_are_marked_up_as_times(written: Written) -> None:
    for page in written.pages:
        for each in page.all("time"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each.attributes["datetime"])
            assert each.text == each.attributes["datetime"].replace("T", " ")
    shown = [each.attributes["datetime"] for each in written.page("device-20251124-110000").all("time")]
    assert shown[:3] == ["2025-11-24T11:00:00Z", "2025-11-24T11:00:04Z", "2025-11-24T11:01:42Z"]


def hostile_fields(payload: str) -> dict[str, Any]:
    return {
        "name": payload, "arch": payload, "image_type": payload, "prefix": payload, "tokenmap": {payload: payload},
        "extra_repos": (payload,), "packages": (payload,), "groups": (payload,), "extra_opts": (payload,),
        "user": payload, "tags": (payload,), "tool": payload, "executor": payload, "reason": payload,
        "queue": payload, "release": payload, "devicegroup": payload, "retry_of": payload, "attempt": 3,
        "request_step": payload, "step": payload, "emails": (payload,), "priority": "high",
        "kickstart": f"# {payload}\nrootpw {payload}\n{payload}\n".encode("utf-8", "surrogateescape"),
    }  # fmt: skip


def hostile_changes(payload: str) -> dict[str, Any]:
    return {
        "phase": payload, "progress_detail": payload, "phases": ({"phase": payload, "seconds": 1e300},),
        "files_url": payload, "image_url": payload, "logfile_url": payload, "error": payload, "error_cause": payload,
        "error_remedy": payload, "warnings": (payload,), "directory": payload, "package_count": 2**80,
        "artifacts": ({"name": payload, "kind": payload, "size": 2**70, "sha256": payload},
                      {"name": f"{payload}.raw", "kind": "image", "size": 1, "sha256": payload}),
        "resources": {"cpu_seconds": 1e300, "peak_memory_bytes": 2**80},
    }  # fmt: skip


@pytest.mark.parametrize("status", [Status.BUILDING, Status.DONE, Status.ERROR, Status.CANCELLED])
@pytest.mark.parametrize("number", range(len(jobs.HOSTILE)))
def test_whatever_a_field_a_log_or_a_kickstart_holds_is_text_on_the_page(
    tmp_path: Path, number: int, status: Status
) -> None:
    payload = jobs.HOSTILE[number]
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "hostile-1", **hostile_fields(payload))
    spool.log("hostile-1").write_bytes(f"{payload}\nerror: {payload}\n".encode("utf-8", "surrogateescape"))
    with spool.start("hostile-1", payload) as claim:
        if status is Status.BUILDING:
            claim.update(**hostile_changes(payload))
        else:
            claim.finish(status, payload, payload, **hostile_changes(payload))
        write(spool, tmp_path / "site", now=jobs.NOW + timedelta(days=400))
    assert_feeds_sound(tmp_path / "site", "hostile-1")
    pages = [parse(path) for path in sorted((tmp_path / "site").rglob("*.html"))]
    assert len(pages) >= 4
    for page in pages:
        assert_sound(page, tmp_path / "site")
        if page.path.name != "failures.html":
            assert text.visible(payload) in page.text
        assert page.all("title")[0].text.endswith("· Imager")


@pytest.mark.parametrize("payload", jobs.HOSTILE)
def test_whatever_a_manifest_an_event_or_a_reason_holds_is_text_on_the_page(tmp_path: Path, payload: str) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "hostile-1", tmp_path / "images")
    packages = [dict.fromkeys(("name", "epoch", "version", "release", "arch", "repository"), payload)]
    place = Path(spool.read("hostile-1").directory)
    (place / "hostile-1.manifest.json").write_text(json.dumps({"packages": packages}))
    event = {"time": payload, "host": payload, "pid": payload, "from": payload, "to": payload, "reason": payload,
             "who": payload, "seq": 9}  # fmt: skip
    with (spool.directory("hostile-1") / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\nno event\n")
    jobs.make(spool, "hostile-2")
    spool.set_aside("hostile-2", payload)
    jobs.make(spool, "hostile-3")
    (spool.directory("hostile-3") / "job.json").write_text(json.dumps({"image_id": payload}))
    write(spool, tmp_path / "site", now=jobs.NOW)
    for page in (parse(path) for path in sorted((tmp_path / "site").rglob("*.html"))):
        assert_sound(page, tmp_path / "site")
    page = parse(tmp_path / "site/jobs/hostile-1/index.html")
    assert text.visible(payload) in page.text
    assert "1 damaged line left out" in page.text


@pytest.mark.parametrize("scheme", ["javascript:alert(1)", "data:text/html,x", "http://ann:pw@h/"])
def test_urls_of_the_record_that_are_no_links_are_text(tmp_path: Path, scheme: str) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "d-1", tmp_path / "images", extra_repos=(scheme,))
    with spool.edit("d-1") as edit:
        edit.update(files_url=scheme, image_url=scheme, logfile_url=scheme)
    write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/jobs/d-1/index.html")
    assert not [each for each in page.links if each.startswith(scheme[:8])]
    assert text.visible(scheme) in page.text


def test_what_one_came_for_is_the_first_artifact_and_what_was_written_about_it_the_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "d-1", tmp_path / "images")
    kinds = ("log", "manifest", "packages", "odd", "bmap", "kernel", "image")
    with spool.edit("d-1") as edit:
        edit.update(artifacts=tuple({"name": kind, "kind": kind, "size": 1, "sha256": ""} for kind in kinds))
    write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/jobs/d-1/index.html")
    shown = [each.text for each in page.elements if each.attributes.get("class") == "kind"]
    assert shown == ["image", "bmap", "kernel", "odd", "packages", "manifest", "log"]


def test_a_transition_that_a_crash_kept_out_of_the_history_is_shown_from_the_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "d-1")
    with spool.edit("d-1") as edit:
        edit.move(Status.CANCELLED, "enough", "maija")
    events = spool.directory("d-1") / "events.jsonl"
    events.write_bytes(events.read_bytes().splitlines(keepends=True)[0])
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert "IN QUEUE CANCELLED enough maija" in squeezed(parse(tmp_path / "site/jobs/d-1/index.html"))


def test_names_of_artifacts_are_quoted_in_links_and_cannot_climb(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.finished(spool, "d-1", tmp_path / "images")
    names = ("a b#c?d.raw", "../up.raw", "/root.raw", "sub/e.raw", "a%2fb")
    with spool.edit("d-1") as edit:
        edit.update(
            files_url="https://files.example.org/x",
            artifacts=tuple({"name": name, "kind": "image", "size": 1, "sha256": ""} for name in names),
        )
    write(spool, tmp_path / "site", now=jobs.NOW)
    links = parse(tmp_path / "site/jobs/d-1/index.html").links
    assert [each for each in links if each.startswith("https://files.example.org/x/")] == [
        "https://files.example.org/x/a%20b%23c%3Fd.raw",
        "https://files.example.org/x/sub/e.raw",
        "https://files.example.org/x/a%252fb",
    ]


def test_finished_jobs_that_the_index_has_no_room_for_are_on_the_page_of_their_month(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(104):
        image_id = f"old-{number:03}"
        jobs.make(spool, image_id)
        with spool.edit(image_id) as edit:
            edit.move(Status.CANCELLED, finished_at=f"2025-{9 + number // 60:02}-01T00:00:{number % 60:02}Z")
    jobs.failed(spool, "old-104", [], error="no", cause="internal", remedy="x", finished_at="2025-09-01T01:00:00Z")
    write(spool, tmp_path / "site", now=jobs.NOW)
    index = parse(tmp_path / "site/index.html")
    assert len([each for each in index.elements if each.attributes.get("class") == "name"]) == 100
    assert "2025-10 44" in index.text and "2025-09 61, 1 failed" in index.text
    assert "months/2025-09.html" in index.links
    assert "The newest 100 of 105 finished jobs" in index.text
    month = parse(tmp_path / "site/months/2025-09.html")
    assert_sound(month, tmp_path / "site")
    assert len([each for each in month.elements if each.attributes.get("class") == "name"]) == 61


@pytest.mark.parametrize(
    ("gibibytes", "says"),
    [(0, ""), (1, ""), (70, "in about 4 days, at 10 GiB a day as in the last 7 days"), (1000, "full within a day")],
)
def test_the_index_says_when_the_disk_of_the_images_will_be_full(tmp_path: Path, gibibytes: int, says: str) -> None:
    (tmp_path / "images").mkdir()
    ledger = Ledger(tmp_path)
    # What was delivered today, or a month ago, says nothing of how much a whole day brings now.
    for number, (when, amount) in enumerate([("11-24", 500), ("11-20", gibibytes), ("10-20", 500)]):
        order = (datetime.fromisoformat(f"2025-{when}T10:00:00+00:00"), f"d-{number}")
        done = State("done", "Done")
        row = Row(f"d-{number}", "d", done, order, "", bytes=amount * 2**30, directory=str(tmp_path / "images"))
        ledger.put(row, bytes(16))
    (disk,) = service.disks(tmp_path, ledger, jobs.NOW)
    assert says in disk.full
    assert bool(disk.full) == bool(says)


def test_a_job_shows_what_it_used_over_time_as_pictures(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    usage = {
        "seconds": [0.0, 1.0, 2.0], "cpu_seconds": [0.0, 1.0, 4.0], "memory_bytes": [1, 2**30, 7],
        "disk_bytes": [1, 2, 3],
    }  # fmt: skip
    jobs.finished(spool, "d-1", tmp_path / "images", usage=usage)
    write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/jobs/d-1/index.html")
    labels = [each.attributes.get("aria-label") for each in page.elements if each.tag == "svg"]
    assert [each for each in labels if each] == [
        "Processors busy: at most 3.0, on average 2.0, in 2.00 s", "Memory: at most 1.0 GiB, in 2.00 s",
        "Disk: at most 3 B, in 2.00 s",
    ]  # fmt: skip


def test_a_line_that_explains_a_failure_leads_to_the_part_of_the_log_that_has_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    lines = [f"line {number}" for number in range(1200)]
    jobs.failed(spool, "d-1", [*lines, "error: no vim", *lines], error="no vim", cause="package-missing", remedy="x")
    write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/jobs/d-1/index.html")
    assert {"log-1.html", "log-2.html", "log-3.html", "log-2.html#L1201"} <= set(page.links)
    part = parse(tmp_path / "site/jobs/d-1/log-2.html")
    assert_sound(part, tmp_path / "site")
    assert {"#L1201", "log-1.html", "log-3.html", "index.html#log"} <= set(part.links)
    assert "Marked as errors: 1201" in squeezed(part)


def test_parts_of_a_log_go_with_the_lines_and_with_the_job(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.failed(spool, "d-1", ["x"] * 2500, error="no", cause="internal", remedy="x")
    report = Report(spool, tmp_path / "site")
    report.update(now=jobs.NOW)
    place = tmp_path / "site/jobs/d-1"
    assert {each.name for each in place.iterdir()} == {"index.html", "log-1.html", "log-2.html", "log-3.html"}
    before = (place / "log-1.html").stat()
    jobs.write_log(spool, "d-1", ["x"] * 1500)
    report.update({"d-1"}, now=jobs.NOW)
    assert {each.name for each in place.iterdir()} == {"index.html", "log-1.html", "log-2.html"}
    assert (place / "log-1.html").stat().st_ino == before.st_ino  # what has not changed is not written again
    spool.set_aside("d-1", "gone")
    report.update({"d-1"}, now=jobs.NOW)
    assert not place.exists()


def test_a_month_with_many_jobs_has_a_page_a_day_and_one_that_leads_to_them(tmp_path: Path) -> None:
    def ended(day: int, number: int) -> Row:
        when = datetime(2025, 11, day, tzinfo=UTC)
        state = State("failed", "Failed") if number == 7 else State("done", "Done")
        return Row(f"d-{number}", "d", state, (when, f"d-{number}"), "")

    ledger = Ledger(tmp_path)
    for number in range(index.MONTH + 2):
        ledger.put(ended(1 + number % 2, number), bytes(16))
    for number in range(index.MONTH + 2):
        ledger.put(Row(f"u-{number}", "u", State("done", "Done"), (NEVER, f"u-{number}"), ""), bytes(16))
    arranged = index.arrange(ledger, jobs.NOW)
    assert [(month.name, month.number, month.failed) for month in arranged.months] == [
        ("2025-11", 502, 1), ("undated", 502, 0),
    ]  # fmt: skip
    pages = [page for month in arranged.months for page in month.pages]
    assert [(page.name, page.above, len(page.rows), page.failed) for page in pages] == [
        ("2025-11-02", "2025-11", 251, 1), ("2025-11-01", "2025-11", 251, 0), ("2025-11", "", 502, 1),
        ("undated", "", 502, 0),
    ]  # fmt: skip


def test_the_page_of_a_month_with_many_jobs_leads_to_its_days_and_is_as_before_when_they_are_few_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MONTH", 105)
    spool = Spool(tmp_path / "spool")
    for number in range(106):
        jobs.make(spool, f"d-{number}")
        with spool.edit(f"d-{number}") as edit:
            edit.move(Status.CANCELLED, finished_at=f"2025-11-{1 + number % 2:02}T00:00:00Z")
    report, months = Report(spool, tmp_path / "site"), tmp_path / "site/months"
    report.update(now=jobs.NOW)
    assert sorted(each.stem for each in months.iterdir()) == ["2025-11", "2025-11-01", "2025-11-02"]
    assert [each for each in parse(tmp_path / "site/index.html").links if "months/" in each] == [
        "months/2025-11.html"
    ]
    month, day = (parse(months / f"{name}.html") for name in ("2025-11", "2025-11-01"))
    assert {"../months/2025-11-01.html", "../months/2025-11-02.html"} <= set(month.links)
    assert "2025-11-01 53" in month.text and "2025-11.html" in day.links
    for each in (month, day):
        assert_sound(each, tmp_path / "site")
    spool.set_aside("d-0", "gone")
    report.update({"d-0"}, now=jobs.NOW)
    assert [each.stem for each in months.iterdir()] == ["2025-11"]
    names = [each for each in parse(months / "2025-11.html").elements if each.attributes.get("class") == "name"]
    assert len(names) == 105


def test_a_log_of_a_million_lines_makes_a_small_page(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "long-1")
    spool.log("long-1").write_bytes(b"2025-11-24T06:59:12.123Z a line of the log with some words in it\n" * 1_000_000)
    write(spool, tmp_path / "site", now=jobs.NOW)
    path = tmp_path / "site/jobs/long-1/index.html"
    assert path.stat().st_size < 150_000
    assert "The last 300 of 1,000,000 lines" in parse(path).text


def test_a_column_of_numbers_is_sorted_by_numbers_however_they_are_shown(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(2):
        jobs.finished(spool, f"tv-{number}", tmp_path / "images", name="tv")
    with spool.edit("tv-0") as edit:
        edit.update(package_count=1204)
    write(spool, tmp_path / "site", now=jobs.NOW)
    shown = {
        each.text: each.attributes.get("data-sort")
        for name in ("index.html", "failures.html")
        for each in parse(tmp_path / "site" / name).all("td")
        if "num" in each.attributes.get("class", "")
    }
    assert (shown["1,204"], shown["1 min 38 s"], shown["2"]) == ("1204", "98.4", "2")
    assert {text for text, sort in shown.items() if sort is None} == {"100 %"}
