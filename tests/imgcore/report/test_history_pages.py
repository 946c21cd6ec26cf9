# SPDX-License-Identifier: GPL-2.0-or-later
"""What many jobs tell together: attempts, what changed, the page of a name, failures, the queue."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.jobs import manifest
from imgcore.report import changes, kickstart, waiting, write
from imgcore.report.ledger import Group, Ledger
from imgcore.report.row import Row, State
from imgcore.spool import Spool
from tests.support import report_spool as jobs
from tests.support.html import Page, broken_links, parse


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good images, one that failed in between, and its second attempt."""
    place = tmp_path_factory.mktemp("history")
    spool = Spool(place / "spool")
    for day, release in ((10, "5.0"), (20, "5.1")):
        when = f"2025-11-{day}T09:0"
        jobs.finished(spool, f"tv-202511{day}-090000", place / "images", tokenmap={"RELEASE": release},
                      started_at=f"{when}0:00Z", finished_at=f"{when}2:00Z")  # fmt: skip
    listed = Path(spool.read("tv-20251120-090000").directory) / "tv.manifest.json"
    told = json.loads(listed.read_text())
    told["packages"][0]["version"] = "2.0"
    told["packages"].pop()
    listed.write_text(json.dumps(told))
    (listed.parent / "tv.ks").write_bytes(jobs.KICKSTART.replace(b"letmein", b"***").replace(b"@RELEASE@", b"5.1"))
    jobs.failed(spool, "tv-20251124-100000", ["error: nothing provides vim"], error="nothing provides vim",
                cause="dependency-conflict", remedy="add the repository", name="tv",
                kickstart=jobs.KICKSTART.replace(b"busybox", b"vim").replace(b"letmein", b"other"))  # fmt: skip
    jobs.make(spool, "tv-20251124-110000", retry_of="tv-20251124-100000", attempt=2, priority="high", step="w!s!0")
    with spool.edit("tv-20251124-110000") as edit:
        edit.move(Status.CANCELLED, "not now", "maija")
    write(spool, place / "site", now=jobs.NOW)
    return place / "site"


def section(page: Page, heading: str) -> str:
    """The text of the section with this heading."""
    found = next(each.text for each in page.all("section") if each.text.strip().startswith(heading))
    return " ".join(found.split())


def test_attempts_at_the_same_are_linked_to_each_other(site: Path) -> None:
    first = parse(site / "jobs/tv-20251124-100000/index.html")
    second = parse(site / "jobs/tv-20251124-110000/index.html")
    assert "../../jobs/tv-20251124-110000/index.html" in first.links
    assert "../../jobs/tv-20251124-100000/index.html" in second.links
    assert "tv-20251124-110000, this one Cancelled attempt 2" in section(second, "Attempts")
    assert broken_links(first, site) == []


def test_a_job_says_with_which_priority_by_which_step_it_was_built_and_who_cancelled_it(site: Path) -> None:
    page = parse(site / "jobs/tv-20251124-110000/index.html")
    assert section(page, "Cancelled") == "Cancelled not now by maija"
    assert "Priority high" in section(page, "What was asked")
    assert "Built by step w!s!0" in section(page, "What was asked")


def test_a_job_shows_what_changed_since_the_last_good_image_of_its_name(site: Path) -> None:
    told = section(parse(site / "jobs/tv-20251120-090000/index.html"), "Since the last good one")
    assert "tv-20251110-090000" in told
    assert "2 packages differ" in told
    assert "package-1.x86_64 changed 1.1-1 2.0-1" in told
    assert "package-47.x86_64 removed 1.47-1 –" in told
    assert "Token RELEASE 5.0 5.1" in told
    assert "The requested kickstarts are the same" in told


def test_a_failed_job_shows_how_its_kickstart_differs_from_the_last_that_was_good(site: Path) -> None:
    told = section(parse(site / "jobs/tv-20251124-100000/index.html"), "Since the last good one")
    assert "tv-20251120-090000" in told
    assert "-busybox +vim" in told
    # That the password changed is not told either.
    assert "rootpw" not in told


def test_a_job_shows_how_the_kickstart_that_was_built_differs_from_the_requested_one(site: Path) -> None:
    told = section(parse(site / "jobs/tv-20251120-090000/index.html"), "Kickstart")
    assert "How the one that was built differs" in told
    assert "+repo --name=base --baseurl=http://•••@repo.example.org/5.1/base" in told
    assert "-rootpw" not in told


def test_the_page_of_a_name_tells_its_course_and_what_lies_between_good_and_bad(site: Path) -> None:
    page = parse(site / "names/tv.html")
    assert "Success 66 % 2 good, 1 failed, 1 cancelled" in section(page, "In short")
    assert "tv-20251120-090000" in section(page, "Between the last good and the last failed one")
    pictures = [each.attributes["aria-label"] for each in page.all("svg") if "aria-label" in each.attributes]
    assert pictures == [
        "Duration: 9.73 s to 2 min 00 s, at last 9.73 s",
        "Size: 1.2 GiB, at last 1.2 GiB",
        "Packages: 47, at last 47",
    ]
    assert broken_links(page, site) == []


def test_failures_are_told_by_cause_and_success_by_name_worker_and_executor(site: Path) -> None:
    page = parse(site / "failures.html")
    assert "dependency-conflict 1 time, 100 %" in section(page, "By cause")
    assert "add the repository" in section(page, "By cause")
    assert [each.text for each in page.all("h2")] == [
        "By cause", "Success by name", "Success by worker", "Success by executor",
    ]  # fmt: skip
    assert "tv 66 % 2 1 1 2 min 00 s 2 min 00 s" in section(page, "Success by name")
    assert broken_links(page, site) == []


def test_the_feeds_tell_the_same_to_programs(site: Path) -> None:
    index = json.loads((site / "index.json").read_bytes())
    assert index["counts"] == {"done": 2, "failed": 1, "cancelled": 1}
    assert [each["image_id"] for each in index["finished"]][-1] == "tv-20251110-090000"
    job = json.loads((site / "jobs/tv-20251124-100000.json").read_bytes())
    assert (job["status"], job["error_cause"]) == ("ERROR", "dependency-conflict")
    assert "Failed: tv" in (site / "feed.atom").read_text()
    metrics = (site / "metrics.prom").read_text().splitlines()
    assert 'imager_jobs{state="failed"} 1' in metrics
    assert 'imager_last_success_timestamp_seconds{name="tv"} 1763629320' in metrics
    assert "tv: failed" in (site / "badges/tv.svg").read_text()


def test_the_json_of_a_job_has_none_of_its_secrets(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "d-1", tokenmap={"DB_PASSWORD": "s3same"}, extra_repos=("http://ann:tops3cret@h/",))
    write(spool, tmp_path / "site", now=jobs.NOW)
    told = (tmp_path / "site/jobs/d-1.json").read_text()
    assert "DB_PASSWORD" in told
    assert "s3same" not in told
    assert "tops3cret" not in told


def test_jobs_whose_ids_differ_by_an_ending_have_both_their_pages(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "d")
    write(spool, tmp_path / "site", now=jobs.NOW)
    jobs.make(spool, "d.json")
    for _ in ("once", "again"):
        write(spool, tmp_path / "site", now=jobs.NOW)
        assert broken_links(parse(tmp_path / "site/index.html"), tmp_path / "site") == []
        assert (tmp_path / "site/jobs/d.json/index.html").is_file()
        assert (tmp_path / "site/jobs/d/index.html").is_file()


def row(image_id: str, slug: str, *, name: str = "tv", seconds: float = 0.0) -> Row:
    return Row(image_id, name, State(slug, slug), (jobs.NOW, image_id), "", seconds=seconds, started=jobs.NOW)


def names(*rows: Row) -> dict[str, Group]:
    ledger = Ledger(Path(tempfile.gettempdir()))
    for each in rows:
        ledger.put(each, bytes(16))
    return ledger.names


def test_a_waiting_job_is_expected_to_start_when_what_runs_has_taken_as_long_as_usual() -> None:
    ended = [row("e1", "done", seconds=100.0), row("e2", "failed", seconds=1.0), row("e3", "done", seconds=100.0)]
    running = [row("r1", "building", seconds=70.0), row("r2", "building", seconds=500.0)]
    found = waiting.expect(running, [row(f"q{number}", "queued") for number in range(4)], names(*ended))
    assert found.left == {"r1": 30.0, "r2": 0.0}
    assert found.start == {"q0": 0.0, "q1": 30.0, "q2": 100.0, "q3": 130.0}


def test_nothing_is_expected_of_a_queue_that_nobody_works_at_or_of_whose_jobs_nothing_is_known() -> None:
    queued = [row("q0", "queued")]
    assert waiting.expect([], queued, names(row("e", "done", seconds=9.0))).start == {}
    assert waiting.expect([row("r", "building", seconds=1.0)], queued, names()).start == {}


def test_what_is_urgent_is_before_the_rest_of_the_queue(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "early-1", name="early")
    jobs.make(spool, "late-1", name="late", requested_at="2025-11-24T11:30:00.000000Z", priority="high")
    write(spool, tmp_path / "site", now=jobs.NOW)
    page = parse(tmp_path / "site/index.html")
    assert [each.text for each in page.elements if each.attributes.get("class") == "name"] == ["late", "early"]
    assert "high priority" in page.text


def test_a_job_that_tries_itself_again_by_mistake_does_no_harm(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "a-1", retry_of="b-1")
    jobs.make(spool, "b-1", retry_of="a-1")
    jobs.make(spool, "c-1", retry_of="c-1")
    write(spool, tmp_path / "site", now=jobs.NOW)
    assert "b-1" in section(parse(tmp_path / "site/jobs/a-1/index.html"), "Attempts")


def test_kickstarts_that_differ_in_a_password_only_do_not_differ() -> None:
    one, other = (kickstart.listing(b"rootpw %b\nurl --url=http://%b@h/\n" % (each, each)) for each in (b"a", b"b"))
    assert changes.lines(one, other) == ()


def test_packages_are_compared_by_name_and_architecture() -> None:
    def listed(*packages: tuple[str, str, str]) -> manifest.Manifest:
        return manifest.Manifest(tuple(manifest.Package(*each, "r") for each in packages), len(packages))

    old = listed(("a", "1", "noarch"), ("b", "1", "i686"), ("b", "1", "x86_64"), ("gone", "1", "noarch"))
    new = listed(("a", "1", "noarch"), ("b", "2", "i686"), ("b", "1", "x86_64"), ("new", "1", "noarch"))
    assert [(each.name, each.kind) for each in changes.packages(old, new)] == [
        ("b.i686", "changed"), ("gone.noarch", "removed"), ("new.noarch", "added"),
    ]  # fmt: skip


def test_kickstarts_that_differ_far_behind_differ_there() -> None:
    long = [b"# line %d" % number for number in range(1, 5001)]
    one, other = (kickstart.listing(b"\n".join([*long[:4400], new, *long[4400:]])) for new in (b"old", b"new"))
    assert [each.text for each in changes.lines(one, other)] == [
        "@@ -4399,5 +4399,5 @@", " # line 4399", " # line 4400", "-old", "+new", " # line 4401", " # line 4402",
    ]  # fmt: skip
    wide = [kickstart.listing(b"echo " + b"a" * 3000 + end) for end in (b"b", b"c")]
    assert [(each.kind, each.text[-20:]) for each in changes.lines(*wide)] == [
        ("hunk", "@@ -1 +1 @@"), ("del", "… (3,006 characters)"), ("add", "… (3,006 characters)"),
    ]  # fmt: skip
    more = kickstart.listing(b"\n".join([b"first", *long]))
    assert [each.text for each in changes.lines(kickstart.listing(b"\n".join(long)), more)] == [
        "@@ -1,2 +1,3 @@", "+first", " # line 1", " # line 2",
    ]  # fmt: skip
    others = kickstart.listing(b"\n".join(b"other %d" % number for number in range(3000)))
    assert changes.lines(more, others)[-1] == changes.DiffLine("hunk", "… and more")


def test_a_kickstart_that_is_gone_or_too_large_to_be_compared_is_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kickstart.listing(b"part /\n")
    for sides, which in (((None, one), "the first"), ((one, None), "the second"), ((None, None), "both")):
        assert [each.text for each in changes.lines(*sides)] == [f"… not compared: the kickstart of {which} is gone"]
    monkeypatch.setattr(kickstart, "LARGEST", 1 << 20)
    large = kickstart.listing(b"#" * ((1 << 20) + 1))
    assert [each.text for each in changes.lines(large, large)] == ["… not compared: what is behind 1 MiB"]
