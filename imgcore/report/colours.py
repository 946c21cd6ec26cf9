# SPDX-License-Identifier: GPL-2.0-or-later
"""The colours that a terminal would give a text, as classes for a style sheet.

Of ECMA-48's SGR: eight colours (the 256 and the 16 million are brought to them), bold, underlined, and whether
there is a background. A background's own colour is left out, and so is what would hide text: all can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Span", "plain", "spans"]

_SGR = re.compile(r"(?:\x1b\[|\x9b)([0-9;:]*)m")
#: Colours by their bits: red is 1, green 2, blue 4. Black and white are the page's own.
_COLOURS = ("", "red", "green", "yellow", "blue", "magenta", "cyan", "")
_MOST_SPANS = 100


@dataclass(frozen=True)
class Span:
    """A piece of text and the classes of its looks, with blanks between them; "" where it has none."""

    text: str
    style: str


def plain(text: str) -> str:
    """`text` without its colours."""
    return _SGR.sub("", text)


def spans(text: str) -> tuple[Span, ...]:
    """The pieces of `text`, each with its looks; none where it has no colours."""
    found = [Span(said, style) for said, style in _pieces(text) if said]
    if not any(each.style for each in found):
        return ()
    kept, rest = found[:_MOST_SPANS], "".join(each.text for each in found[_MOST_SPANS:])
    return (*kept, Span(rest, "")) if rest else tuple(kept)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    looks: dict[str, str] = {}
    at = 0
    for match in _SGR.finditer(text):
        yield text[at : match.start()], _style(looks)
        _apply(looks, [int(each[-3:] or 0) for each in re.split("[;:]", match[1])])
        at = match.end()
    yield text[at:], _style(looks)


def _style(looks: dict[str, str]) -> str:
    return " ".join(f"t-{each}" for each in looks.values() if each)


def _apply(looks: dict[str, str], codes: list[int]) -> None:
    rest = iter(codes)
    for code in rest:
        if code == 0:
            looks.clear()
        elif code in (1, 4):
            looks["weight" if code == 1 else "line"] = "bold" if code == 1 else "under"
        elif code in (22, 24):
            looks.pop("weight" if code == 22 else "line", None)
        elif code in (38, 48):
            colour = _extended(rest)
            looks["colour" if code == 38 else "back"] = colour if code == 38 else "back"
        elif 30 <= code <= 37 or 90 <= code <= 97:
            looks["colour"] = "grey" if code == 90 else _COLOURS[code % 10]
        elif code == 7 or 40 <= code <= 47 or 100 <= code <= 107:
            looks["back"] = "back"
        elif code == 39:
            looks.pop("colour", None)
        elif code in (27, 49):
            looks.pop("back", None)


def _extended(codes: Iterator[int]) -> str:
    """The colour that follows 38 or 48: `5;N` of 256, or `2;R;G;B`."""
    kind = next(codes, 0)
    if kind == 2:
        return _nearest(*(next(codes, 0) for _ in range(3)))
    number = next(codes, 0)
    if number < 16:
        return "grey" if number == 8 else _COLOURS[number % 8]
    if number >= 232:
        return ""
    cube = number - 16
    return _nearest(cube // 36, cube // 6 % 6, cube % 6)


def _nearest(red: int, green: int, blue: int) -> str:
    half = max(red, green, blue) / 2
    return _COLOURS[(red > half) + 2 * (green > half) + 4 * (blue > half)]
