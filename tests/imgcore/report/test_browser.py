# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages in a real browser: they load, ask nobody, fit a phone, are accessible, and run nothing."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from imgcore.job import Status
from imgcore.report import write
from imgcore.report.related import place_of
from imgcore.spool import Spool
from tests.support import chromium
from tests.support import report_spool as jobs
from tests.support.chromium import DARK, LIGHT, PHONE

pytestmark = pytest.mark.real

PAGES = {
    "index": "site/still.html",
    "index-live": "site/index.html",
    "empty": "empty-site/index.html",
    "queued": "site/jobs/watch-20251124-115900/index.html",
    "running": "site/jobs/tablet-20251124-115800/still.html",
    "failed": "site/jobs/phone-20251124-103000/index.html",
    "stopped": "site/jobs/slow-20251124-080000/index.html",
    "done": "site/jobs/device-20251124-110000/index.html",
    "tested": "site/jobs/tv-20251123-090000/index.html",
    "cancelled": "site/jobs/car-20251124-100000/index.html",
    "damaged": "site/jobs/broken-20251124-070000/index.html",
    "name": "site/names/device.html",
    "failures": "site/failures.html",
    "compared": "site/jobs/device-20251124-113000/index.html",
    "part": "site/jobs/slow-20251124-080000/log-1.html",
    "coloured": "wide-site/jobs/coloured-1/index.html",
    "coloured-part": "wide-site/jobs/coloured-1/log-1.html",
    "long": "wide-site/jobs/long-1/index.html",
    "long-part": "wide-site/jobs/long-1/log-end-1.html",
    "wide-failures": "wide-site/failures.html",
    **{f"cause-{cause}": f"wide-site/jobs/{cause}-1/index.html" for cause in jobs.CAUSES},
    "hostile-index": "hostile-site/index.html",
    "hostile-failures": "hostile-site/failures.html",
    "hostile-name": f"hostile-site/names/{place_of(jobs.HOSTILE[0])}.html",
    **{f"hostile-{number}": f"hostile-site/jobs/hostile-{number}/index.html" for number in range(len(jobs.HOSTILE))},
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("browser")
    write(Spool(place / "empty"), place / "empty-site")
    hostile = Spool(place / "hostile")
    for number, payload in enumerate(jobs.HOSTILE):
        image_id = f"hostile-{number}"
        many = {"tags": (payload,), "tokenmap": {payload: payload}, "extra_repos": (payload,), "packages": (payload,)}
        raw = payload.encode("utf-8", "surrogateescape")
        jobs.make(hostile, image_id, name=payload, arch=payload, user=payload, kickstart=raw, **many)
        hostile.log(image_id).write_bytes(b"error: " + raw + b"\n\x1b[31m" + raw + b"\x1b[0m" + raw + b"\n")
        changes = {
            **dict.fromkeys(("error", "error_remedy", "error_cause", "files_url", "image_url"), payload),
            "artifacts": ({"name": payload, "kind": payload, "size": 1, "sha256": payload},),
            "phases": ({"phase": payload, "seconds": 1.0},),
            "warnings": (payload,),
        }
        with hostile.start(image_id) as claim:
            claim.finish(Status.ERROR, payload, payload, **changes)
    write(hostile, place / "hostile-site", now=jobs.NOW)
    wide = Spool(place / "wide")
    jobs.wide(wide, place / "images")
    write(wide, place / "wide-site", now=jobs.NOW)
    wide.log("long-1").write_bytes(b"")  # it has been read
    spool = Spool(place / "spool")
    with jobs.every_state(spool, place / "images"):
        jobs.failed(spool, "device-20251124-113000", ["error: no vim"], error="no vim", cause="package-missing",
                    remedy="add it", finished_at="2025-11-24T11:31:00Z", retry_of="device-20251124-110000", attempt=2,
                    kickstart=jobs.KICKSTART.replace(b"busybox", b"vim"))  # fmt: skip
        write(spool, place / "site", now=jobs.NOW)
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.opened() as opened:
        yield opened


@dataclass
class Visit:
    """A page in the browser, with all that it said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    wanted: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(**wanted)
    visit = Visit(context.new_page())
    visit.page.on("console", lambda message: visit.said.append(message.text))
    visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
    visit.page.on("dialog", lambda dialog: visit.said.append(f"dialog {dialog.message}"))
    visit.page.on("request", lambda asked: visit.asked.append(asked.url))
    visit.page.on("requestfailed", lambda asked: visit.said.append(f"failed {asked.url}"))
    yield visit
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opened_from_disk_is_styled_says_nothing_and_asks_nobody_else(
    sites: Path, visit: Visit, name: str
) -> None:
    visit.page.goto((sites / PAGES[name]).as_uri())
    assert visit.said == []
    root = (sites / PAGES[name].split("/")[0]).as_uri()
    assert all(asked.startswith((root, "data:")) for asked in visit.asked), visit.asked
    # The style sheet was let in by the policy.
    assert visit.page.evaluate("getComputedStyle(document.querySelector('.brand')).textDecorationLine") == "none"
    assert visit.page.title().endswith("· Imager")
    assert visit.page.title() != "owned"
    assert visit.page.locator("h1").count() == 1


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("visit", [{"viewport": {"width": 360, "height": 740}}], indirect=True, ids=["phone"])
def test_a_page_fits_a_phone(sites: Path, visit: Visit, name: str) -> None:
    visit.page.goto((sites / PAGES[name]).as_uri())
    visit.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 360


def axe(visit: Visit) -> list[list[str]]:
    """What axe finds on the page, folded parts open."""
    visit.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    visit.page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found: list[list[str]] = visit.page.evaluate(
        "axe.run({resultTypes: ['violations']}).then(result => result.violations.map("
        "each => [each.id, each.nodes[0].html, each.nodes[0].failureSummary]))"
    )
    return found


# A page that loads itself anew is not for axe; each of them links to one that stands still.
_AXE = [name for name in PAGES if name != "index-live"]


@pytest.mark.parametrize(
    ("visit", "name"),
    [
        *[pytest.param(LIGHT, name, id=f"light-{name}") for name in _AXE],
        *[
            pytest.param(DARK, name, id=f"dark-{name}")
            for name in _AXE
            if "hostile" not in name and "cause" not in name
        ],
        *[
            pytest.param(PHONE, name, id=f"phone-{name}")
            for name in ("index", "done", "failed", "compared", "name", "failures", "hostile-9")
        ],
    ],
    indirect=["visit"],
)
def test_axe_finds_nothing(sites: Path, visit: Visit, name: str) -> None:
    visit.page.goto((sites / PAGES[name]).as_uri())
    assert axe(visit) == []


def test_axe_would_find_a_colour_that_cannot_be_read(sites: Path, visit: Visit) -> None:
    visit.page.goto((sites / PAGES["done"]).as_uri())
    visit.page.evaluate("document.querySelector('h1').style.color = '#ddd'")
    assert [each[0] for each in axe(visit)] == ["color-contrast"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A plain web server of that directory."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/"
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def root(sites: Path) -> Iterator[str]:
    """A plain web server that has the sites below paths."""
    with served(sites) as url:
        yield url


@pytest.mark.parametrize("name", ["site", "wide-site", "hostile-site"])
def test_from_a_web_server_below_a_path_every_page_is_reached_by_clicking(
    sites: Path, root: str, visit: Visit, name: str
) -> None:
    server = f"{root}{name}/"
    seen: set[str] = set()
    waiting = [f"{server}index.html"]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = visit.page.goto(url)
        assert answer is not None
        assert answer.status == 200
        hrefs = visit.page.evaluate("[...document.querySelectorAll('a[href]')].map(each => each.href.split('#')[0])")
        waiting += [href for href in hrefs if href.startswith(server) and href.endswith(".html")]
    assert visit.said == []
    assert all(asked.startswith((server, "data:")) for asked in visit.asked)
    assert seen == {f"{root}{path.relative_to(sites)}" for path in (sites / name).rglob("*.html")}


def test_by_keyboard_the_first_stop_leads_past_the_header(sites: Path, visit: Visit) -> None:
    visit.page.goto((sites / PAGES["index"]).as_uri())
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert visit.page.evaluate("document.activeElement.getBoundingClientRect().width") > 50
    visit.page.keyboard.press("Enter")
    assert visit.page.url.endswith("#main")


def test_the_log_opens_at_its_end_and_a_line_can_be_linked(sites: Path, visit: Visit) -> None:
    address = (sites / PAGES["stopped"]).as_uri()
    visit.page.goto(address)
    last = visit.page.locator("#L700")
    box, line = visit.page.get_by_role("region", name="The end of the log").bounding_box(), last.bounding_box()
    assert box is not None
    assert line is not None
    assert box["y"] <= line["y"] <= box["y"] + box["height"]
    visit.page.goto(f"{address}#L450")
    line = visit.page.locator("#L450").bounding_box()
    assert line is not None
    assert 0 <= line["y"] <= 720


def names(page: Page) -> list[str]:
    """The jobs that are to be seen, in the order of the page."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.jobs tbody tr')].filter(each => each.checkVisibility())"
        ".map(each => each.querySelector('.name').textContent)"
    )
    return found


def test_the_index_is_filtered_by_what_is_typed_and_chosen_also_after_it_is_loaded_again(
    sites: Path, visit: Visit
) -> None:
    page = visit.page
    page.goto((sites / PAGES["index"]).as_uri())
    everything = names(page)
    page.get_by_role("combobox", name="State").select_option("failed")
    assert names(page) == ["device", "slow", "phone"]
    page.get_by_role("searchbox", name="Text").fill("BUSYBOCKS")
    assert names(page) == ["phone"]
    assert page.locator(".filter output").inner_text() == f"1 of the {len(everything)} jobs on this page"
    page.reload()
    assert names(page) == ["phone"]
    page.get_by_role("searchbox", name="Text").fill("")
    page.get_by_role("combobox", name="State").select_option("any")
    page.get_by_role("combobox", name="Tag").select_option("nightly")
    assert names(page) == ["tablet", "device"]
    page.get_by_role("combobox", name="Tag").select_option("any")
    assert names(page) == everything
    assert visit.said == []


def test_a_table_is_sorted_by_the_column_that_is_clicked(sites: Path, visit: Visit) -> None:
    page = visit.page
    page.goto((sites / PAGES["index"]).as_uri())
    took = page.get_by_role("button", name="Took")
    took.press("Enter")
    column = "[...document.querySelectorAll('.sortable tbody td[data-label=took]')].map(each => +each.dataset.sort)"
    assert page.evaluate(column) == sorted(page.evaluate(column))
    assert page.evaluate("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "ascending"
    took.press("Enter")
    assert page.evaluate(column) == sorted(page.evaluate(column), reverse=True)


def test_without_a_script_there_is_no_filter_and_every_job_is_there(sites: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((sites / PAGES["index"]).as_uri())
    assert not page.get_by_role("searchbox", name="Text").is_visible()
    assert page.locator(".jobs tbody tr:visible").count() == page.locator(".jobs tbody tr").count()
    context.close()


def test_from_a_server_the_index_follows_the_spool_and_keeps_its_filter(visit: Visit, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "first-1", name="first", tags=("a",))
    jobs.make(spool, "second-1", name="second")
    write(spool, tmp_path / "site", now=jobs.NOW)
    with served(tmp_path / "site") as url:
        visit.page.goto(f"{url}index.html#?tag=a")
        assert names(visit.page) == ["first"]
        jobs.make(spool, "third-1", name="third", tags=("a",))
        write(spool, tmp_path / "site", now=jobs.NOW)
        visit.page.locator(".name", has_text="third").wait_for(timeout=20_000)
        assert names(visit.page) == ["first", "third"]
    assert visit.said == []


def test_from_a_server_a_running_jobs_log_grows_and_stays_where_it_is_read(visit: Visit, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    page = visit.page
    with jobs.running(spool, "live-1"), served(tmp_path) as url:
        jobs.write_log(spool, "live-1", [f"line {number}" for number in range(1, 401)])
        write(spool, tmp_path / "site", now=jobs.NOW)
        page.goto(f"{url}site/jobs/live-1/index.html")
        page.locator(".log.end").evaluate("each => { each.scrollTop = -3000 }")
        at = page.locator("#L250").bounding_box()
        assert at is not None
        jobs.write_log(spool, "live-1", [f"line {number}" for number in range(1, 421)])
        write(spool, tmp_path / "site", now=jobs.NOW)
        page.locator("#L420").wait_for(state="attached", timeout=20_000)
        stays = page.locator("#L250").bounding_box()
        assert stays is not None
        assert abs(stays["y"] - at["y"]) < 2
        # What was there before is still there, though the new page does not have it.
        numbers = page.evaluate("[...document.querySelectorAll('.log.end .line')].map(each => each.id)")
        assert numbers == [f"L{number}" for number in range(101, 421)]
        page.locator(".log.end").evaluate("each => { each.scrollTop = 0 }")
        jobs.write_log(spool, "live-1", [f"line {number}" for number in range(1, 431)])
        write(spool, tmp_path / "site", now=jobs.NOW)
        page.locator("#L430").wait_for(state="attached", timeout=20_000)
        assert page.locator("#L430").is_visible()
        assert page.locator(".log.end").evaluate("each => each.scrollTop") == 0
    assert visit.said == []


def test_a_line_of_a_part_of_a_log_can_be_linked_and_its_colours_can_be_seen(sites: Path, visit: Visit) -> None:
    page = visit.page
    page.goto((sites / PAGES["coloured"]).as_uri())
    assert page.locator(".log.end .t-red").first.evaluate("each => getComputedStyle(each).color") != page.evaluate(
        "getComputedStyle(document.body).color"
    )
    page.get_by_role("link", name="1 to 1,000").click()
    page.goto(f"{page.url}#L900")
    line = page.locator("#L900").bounding_box()
    assert line is not None
    assert 0 <= line["y"] <= 720
    assert page.locator("#L900 .text").inner_text().startswith("coloured line 900")


def test_a_running_jobs_page_follows_the_job_without_a_script(browser: Browser, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        with jobs.running(spool, "live-1"):
            write(spool, tmp_path / "site", now=jobs.NOW)
            page.goto((tmp_path / "site/jobs/live-1/index.html").as_uri())
            assert page.locator(".badge").inner_text() == "Building"
        write(spool, tmp_path / "site", now=jobs.NOW)
        page.locator(".badge", has_text="Cancelled").wait_for(timeout=15_000)
        page.goto((tmp_path / "site/index.html").as_uri())
        assert page.locator(".jobs .badge").inner_text() == "Cancelled"
    finally:
        context.close()


@pytest.mark.parametrize("visit", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_in_print_the_whole_log_and_what_is_folded_are_there(sites: Path, visit: Visit) -> None:
    visit.page.goto((sites / PAGES["done"]).as_uri())
    assert not visit.page.get_by_text("package-47", exact=True).is_visible()
    visit.page.emulate_media(media="print")
    assert visit.page.get_by_text("package-47", exact=True).is_visible()
    box = visit.page.get_by_role("region", name="The end of the log")
    assert box.evaluate("each => each.scrollHeight <= each.clientHeight")
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_screenshots_are_kept_where_the_run_wants_them(sites: Path, browser: Browser, tmp_path: Path) -> None:
    kept = Path(os.environ.get("IMAGER_SCREENSHOTS", str(tmp_path)))
    shown = ("index", "done", "failed", "compared", "name", "failures", "coloured", "part")
    taken = chromium.pictures(browser, {name: sites / PAGES[name] for name in shown}, kept)
    assert len(taken) == 3 * len(shown)
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in taken)
