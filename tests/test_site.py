# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation as a site (`make docs`): whole, readable, and nothing of it is asked of another server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import html
from tests.support.checkout import ROOT

#: What a browser loads by itself, and where.
_LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
_ELSEWHERE = re.compile(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//[^)\"']+")
_CODE = re.compile(r"<(pre|code|script|style)\b.*?</\1>", re.DOTALL)
#: What Markdown leaves of what it did not understand.
_RAW = re.compile(r"^\s*(```|[-*] |\d+\. |#+ |\|.*\|\s*$)|\]\(|\*\*|`", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run([ROOT / "conf/make-docs", place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@pytest.fixture(scope="module")
def pages(site: Path) -> list[html.Page]:
    # The page of the server's errors has addresses from the server's root on.
    return [html.parse(each) for each in sorted(site.rglob("*.html")) if each.name != "404.html"]


def test_every_page_of_the_documentation_is_in_the_site_and_in_its_menu(site: Path, pages: list[html.Page]) -> None:
    documents = {f"docs/{each.stem}.html" for each in (ROOT / "docs").glob("*.md")}
    assert documents <= {str(each.path.relative_to(site)) for each in pages}
    assert documents <= set(html.parse(site / "index.html").links)


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: list[html.Page]) -> None:
    assert {str(each.path.name): broken for each in pages if (broken := html.broken_links(each, site))} == {}


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: list[html.Page]) -> None:
    for page in pages:
        loaded = [each.attributes.get(_LOADED[each.tag], "") for each in page.elements if each.tag in _LOADED]
        assert [each for each in loaded if re.match(r"(\w+:)?//", each)] == []
    for style in site.rglob("*.css"):
        assert _ELSEWHERE.findall(style.read_text(encoding="utf-8")) == []


def test_no_page_shows_what_was_meant_for_markdown(pages: list[html.Page]) -> None:
    for page in pages:
        text = html.parse_text(_CODE.sub("", page.path.read_text(encoding="utf-8"))).text
        assert [found[0] for found in _RAW.finditer(text)] == [], page.path.name


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/README.md").write_text("# A\n\n[B](b.md)\n")
    text = (ROOT / "conf/mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[0]
    text = text.replace("../build/docs", "docs").replace("../build/site", "site")
    (tmp_path / "mkdocs.yml").write_text(text)
    mkdocs = ROOT / ".venv/bin/mkdocs"
    done = subprocess.run([mkdocs, "build"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "b.md" in done.stdout + done.stderr
