# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a text with some put in, replaced or taken out; what is not touched stays byte for byte.

A line that is put in gets the line end of the one before it. What changed can be shown as a unified diff, made of
the edits themselves, so that it takes no longer than the text is long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgcore.kickstart.document import Line

__all__ = ["Edits"]

_CONTEXT = 3


class Edits:
    """The edits of `lines`; indexes are those of the lines as they were."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._before = list(lines)
        self._now: list[str | None] = [line.text for line in lines]
        self._added: dict[int, list[str]] = {}
        windows = sum(line.end == "\r\n" for line in lines)
        self._end = "\r\n" if windows * 2 >= max(len(lines), 1) else "\n"

    def insert(self, before: int, *texts: str) -> None:
        """Put lines before that one, behind those that were put there already."""
        self._added.setdefault(before, []).extend(texts)

    def replace(self, index: int, text: str) -> None:
        """Give the line another text."""
        self._now[index] = text

    def remove(self, index: int) -> None:
        """Take the line out."""
        self._now[index] = None

    def text(self) -> str:
        """The whole text."""
        parts: list[str] = []
        for index, line in enumerate(self._before):
            parts.extend(f"{text}{self._end_at(index)}" for text in self._added.get(index, ()))
            now = self._now[index]
            if now is not None:
                parts.append(f"{now}{line.end}")
        behind = [f"{text}{self._end_at(len(self._before))}" for text in self._added.get(len(self._before), ())]
        if behind and parts and not parts[-1].endswith("\n"):
            # The last line has no line end, so the new last line has none either.
            parts.append(self._end)
            behind[-1] = behind[-1].removesuffix(self._end)
        return "".join(parts + behind)

    def _end_at(self, index: int) -> str:
        return (self._before[index - 1].end if index else "") or self._end

    def diff(self, name: str) -> str:
        """What changed, to be read: a unified diff without the line ends; empty if nothing did."""
        signed = list(self._signed())
        parts: list[str] = []
        old = new = done = 0
        for first, last in _hunks([index for index, (sign, _) in enumerate(signed) if sign != " "], len(signed)):
            old, new = old + first - done, new + first - done
            hunk = signed[first:last]
            olds, news = sum(sign != "+" for sign, _ in hunk), sum(sign != "-" for sign, _ in hunk)
            parts.append(f"@@ -{_range(old, olds)} +{_range(new, news)} @@\n")
            parts.extend(f"{sign}{text}\n" for sign, text in hunk)
            old, new, done = old + olds, new + news, last
        return f"--- a/{name}\n+++ b/{name}\n{''.join(parts)}" if parts else ""

    def _signed(self) -> Iterator[tuple[str, str]]:
        for index, line in enumerate(self._before):
            yield from (("+", text) for text in self._added.get(index, ()))
            now = self._now[index]
            if now == line.text:
                yield " ", line.text
                continue
            yield "-", line.text
            if now is not None:
                yield "+", now
        yield from (("+", text) for text in self._added.get(len(self._before), ()))


def _hunks(changed: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    """From where to where each hunk goes: changes with what is around them, joined where they meet."""
    if not changed:
        return
    first = last = changed[0]
    for index in changed[1:]:
        if index - last > 2 * _CONTEXT:
            yield max(0, first - _CONTEXT), last + 1 + _CONTEXT
            first = index
        last = index
    yield max(0, first - _CONTEXT), min(length, last + 1 + _CONTEXT)


def _range(before: int, count: int) -> str:
    """As `diff` writes it: where nothing stands, the line before."""
    return f"{before + 1 if count else before},{count}"
