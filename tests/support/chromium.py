# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Chromium, and pictures of pages in it.

    .venv/bin/python -m tests.support.chromium docs/pictures

takes those of docs/pages.md (`make screenshots`), from a spool with a job in every state and a disk that is always as
full: the same pages make the same pictures.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from playwright.sync_api import Browser, sync_playwright

from imgcore.report import write
from imgcore.spool import Spool
from tests.support import report_spool as jobs

__all__ = ["DARK", "LIGHT", "PHONE", "opened", "pictures"]

LIGHT: dict[str, Any] = {"color_scheme": "light"}
DARK: dict[str, Any] = {"color_scheme": "dark"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}
_LOOKS = {"light": LIGHT, "dark": DARK, "phone": PHONE}
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def opened() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def pictures(
    browser: Browser,
    pages: Mapping[str, Path],
    target: Path,
    looks: Sequence[str] = tuple(_LOOKS),
    *,
    whole: bool = True,
) -> list[Path]:
    """Put pictures of pages into `target`, each in these looks, the whole page or what is seen first."""
    target.mkdir(parents=True, exist_ok=True)
    taken = []
    for look in looks:
        context = browser.new_context(**_LOOKS[look])
        page = context.new_page()
        for name, path in pages.items():
            page.goto(path.as_uri())
            taken.append(target / f"{name}-{look}.png")
            page.screenshot(path=str(taken[-1]), full_page=whole)
        context.close()
    return taken


def main(target: Path) -> None:
    """Take the pictures of the documentation."""
    disk = SimpleNamespace(used=87 * 2**30, free=413 * 2**30, total=500 * 2**30)
    with tempfile.TemporaryDirectory() as directory, opened() as browser:
        place = Path(directory)
        spool = Spool(place / "spool")
        with (
            jobs.every_state(spool, place / "images"),
            mock.patch("shutil.disk_usage", return_value=disk),
        ):
            jobs.nightly(spool, place / "images")
            write(spool, place / "site", now=jobs.NOW)
        pages = {
            "index": "index.html",
            "failed": "jobs/phone-20251124-103000/index.html",
            "image": "jobs/device-20251123-230000/index.html",
            "name": "names/device.html",
        }
        found = {name: place / "site" / page for name, page in pages.items()}
        for each in pictures(browser, found, target, ("light", "dark", "phone"), whole=False):
            print(each)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
