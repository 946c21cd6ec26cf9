"""The pages in a real browser: they load, ask nobody, fit a phone, are accessible, and run nothing."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from imgcore.job import Status
from imgcore.report import write
from imgcore.spool import Spool
from tests.support import report_spool as jobs

pytestmark = pytest.mark.real

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
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
    "hostile-index": "hostile-site/index.html",
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
        hostile.log(image_id).write_bytes(b"error: " + raw + b"\n")
        changes = {
            **dict.fromkeys(("error", "error_remedy", "error_cause", "files_url", "image_url"), payload),
            "artifacts": ({"name": payload, "kind": payload, "size": 1, "sha256": payload},),
            "phases": ({"phase": payload, "seconds": 1.0},),
            "warnings": (payload,),
        }
        with hostile.start(image_id) as claim:
            claim.finish(Status.ERROR, payload, payload, **changes)
    write(hostile, place / "hostile-site", now=jobs.NOW)
    with jobs.every_state(Spool(place / "spool"), place / "images"):
        write(Spool(place / "spool"), place / "site", now=jobs.NOW)
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield opened
        opened.close()


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
_LIGHT: dict[str, Any] = {"color_scheme": "light"}
_DARK: dict[str, Any] = {"color_scheme": "dark"}
_PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}


@pytest.mark.parametrize(
    ("visit", "name"),
    [
        *[pytest.param(_LIGHT, name, id=f"light-{name}") for name in _AXE],
        *[pytest.param(_DARK, name, id=f"dark-{name}") for name in _AXE if "hostile" not in name],
        *[pytest.param(_PHONE, name, id=f"phone-{name}") for name in ("index", "done", "failed", "hostile-9")],
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


@pytest.fixture(scope="module")
def server(sites: Path) -> Iterator[str]:
    """A plain web server, the site below a path of it."""
    handler = functools.partial(_Quiet, directory=str(sites))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/site/"
        running.shutdown()
        thread.join()


def test_from_a_web_server_below_a_path_every_page_is_reached_by_clicking(server: str, visit: Visit) -> None:
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
        waiting += [href for href in hrefs if href.startswith(server)]
    assert visit.said == []
    assert all(asked.startswith((server, "data:")) for asked in visit.asked)
    assert len(seen) == 12  # the index and nine jobs, the index and one job also held still


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
    kept.mkdir(parents=True, exist_ok=True)
    looks: list[dict[str, Any]] = [_LIGHT, _DARK, _PHONE]
    for look, label in zip(looks, ("light", "dark", "phone"), strict=True):
        context = browser.new_context(**look)
        page = context.new_page()
        for name in ("index", "done", "failed"):
            page.goto((sites / PAGES[name]).as_uri())
            target = kept / f"{name}-{label}.png"
            page.screenshot(path=str(target), full_page=True)
            assert target.read_bytes().startswith(b"\x89PNG")
        context.close()
