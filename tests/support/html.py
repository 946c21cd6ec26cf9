# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page holds, by the standard library's parser: elements, text, ids; and its links followed on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Element", "Page", "broken_links", "parse", "parse_text"]

_VOID = {"meta", "link", "img", "br", "hr", "input", "path"}


@dataclass
class Element:
    """A start tag, and the text up to its end tag."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page:
    """A parsed page; `faults` are tags that do not nest."""

    path: Path
    elements: list[Element] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        return [each for each in self.elements if each.tag == tag]

    @property
    def ids(self) -> list[str]:
        return [each.attributes["id"] for each in self.elements if "id" in each.attributes]

    @property
    def links(self) -> list[str]:
        return [each.attributes[key] for each in self.elements for key in ("href", "src") if key in each.attributes]


class _Parser(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.page = page
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        if len(element.attributes) != len(attrs):
            self.page.faults.append(f"<{tag}> has an attribute twice")
        self.page.elements.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.page.faults.append(f"</{tag}> closes {self.open[-1].tag if self.open else 'nothing'}")
        if any(each.tag == tag for each in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.page.text += data
        for each in self.open:
            each.text += data


def parse(path: Path) -> Page:
    """The page at `path`."""
    return parse_text(path.read_text(encoding="utf-8"), path)


def parse_text(text: str, path: Path = Path()) -> Page:
    """The page that `text` is."""
    page = Page(path)
    parser = _Parser(page)
    parser.feed(text)
    parser.close()
    page.faults += [f"<{each.tag}> is never closed" for each in parser.open]
    return page


def broken_links(page: Page, site: Path) -> list[str]:
    """Relative links that lead out of `site`, to no file, or to no element."""
    broken = []
    ids = {page.path.resolve(): set(page.ids)}
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
        inside = target.is_relative_to(site.resolve()) and target.is_file()
        if inside and parts.fragment and target not in ids:
            ids[target] = set(parse(target).ids)
        if not inside or (parts.fragment and parts.fragment not in ids[target]):
            broken.append(link)
    return broken
