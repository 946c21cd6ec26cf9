# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML text to a tree of values, each with its place: what `yaml.safe_load` would read, bounded for any input.

Nothing is constructed but text, lists and mappings: a scalar stays as it is written, with the kind that YAML gives
it. An alias counts as much as what it stands for, so that a few lines cannot become a billion; it cannot contain
itself. One document a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.mistakes import Notes, Spot

__all__ = ["MOST_BYTES", "MOST_DEPTH", "MOST_NODES", "Node", "parse"]

MOST_BYTES = 2**20
MOST_NODES = 100_000
MOST_DEPTH = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_TAG = "tag:yaml.org,2002:"
#: YAML's kinds of scalar in the words of JSON Schema.
_KINDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null", "merge": "merge",
          "timestamp": "string", "value": "string"}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A value: `null`, `boolean`, `integer`, `number`, `string`, `array` or `object`."""

    kind: str
    spot: Spot
    #: A scalar as it is written.
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: Mapping[str, Node] = field(default_factory=dict)
    #: Where each key of `entries` stands.
    keys: Mapping[str, Spot] = field(default_factory=dict)
    #: How many values it is, with all below it.
    size: int = 1

    def __bool__(self) -> bool:
        """Whether there is something: not null, not empty."""
        return bool(self.text and self.kind != "null") or bool(self.items) or bool(self.entries)

    @property
    def truth(self) -> bool:
        """What a boolean says."""
        return self.text.lower() in ("true", "yes", "on", "y")


class _Unusable(Exception):
    """The text cannot be read any further; it was noted why."""


def parse(text: str, file: str, notes: Notes, most: int = MOST_NODES) -> Node | None:
    """The value that `text` is, of at most `most` values; None after a mistake that was noted."""
    try:
        return _Builder(file, notes, most).read(yaml.parse(text, Loader=_LOADER))
    except _Unusable:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(file, mark.line + 1, mark.column + 1) if mark else Spot(file)
        what = ", ".join(filter(None, (error.context, error.problem)))
        notes.mistake(spot, f"this is not YAML: {shown(what, 160)}")
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        before = text[: position if isinstance(position, int) else 0]
        spot = Spot(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        notes.mistake(spot, f"this is not YAML: {shown(str(getattr(error, 'reason', '') or 'a bad character'), 160)}")
    return None


@dataclass
class _Open:
    """A list or mapping whose end was not read yet."""

    kind: str
    spot: Spot
    anchor: str
    items: list[Node] = field(default_factory=list)


class _Builder:
    def __init__(self, file: str, notes: Notes, most: int) -> None:
        self._file, self._notes, self._most = file, notes, most
        self._anchors: dict[str, Node | None] = {}
        self._size = 0

    def read(self, events: Iterator[Any]) -> Node | None:
        """The one document."""
        opened: list[_Open] = []
        found: Node | None = None
        documents = 0
        for event in events:
            made: Node | None = None
            more = 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document begins", "a file has one")
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if len(opened) >= MOST_DEPTH:
                    self._stop(event, f"more than {MOST_DEPTH} levels")
                kind = "array" if isinstance(event, yaml.SequenceStartEvent) else "object"
                self._tag(event, {f"{_TAG}seq", f"{_TAG}map"})
                opened.append(_Open(kind, self._spot(event), event.anchor or ""))
                if event.anchor:
                    self._anchors[event.anchor] = None
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                made = self._close(opened.pop())
            elif isinstance(event, yaml.AliasEvent):
                made = self._alias(event)
                more = made.size
            elif isinstance(event, yaml.ScalarEvent):
                made = self._scalar(event)
            if made is None:
                continue
            self._size += more
            if self._size > self._most:
                self._stop(event, f"more than {MOST_NODES} values", "what aliases stand for counts each time")
            if opened:
                opened[-1].items.append(made)
            else:
                found = made
        return found

    def _spot(self, event: Any) -> Spot:
        return Spot(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, event: Any, what: str, remedy: str = "") -> None:
        self._notes.mistake(self._spot(event), what, remedy)
        raise _Unusable

    def _tag(self, event: Any, allowed: set[str]) -> None:
        if event.tag and event.tag != "!" and event.tag not in allowed:
            tag = event.tag.replace(_TAG, "!!")
            self._notes.mistake(self._spot(event), f"the tag {shown(tag)} is not read", "leave it out")

    def _scalar(self, event: Any) -> Node:
        self._tag(event, {f"{_TAG}{each}" for each in ("str", "int", "float", "bool", "null")})
        tag = event.tag
        if not tag or tag == "!":
            tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = Node(_KINDS.get(tag.removeprefix(_TAG), "string"), self._spot(event), event.value)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            self._stop(event, f"*{shown(event.anchor)} stands for nothing", f"nothing is marked &{event.anchor}")
        node = self._anchors[event.anchor]
        if node is None:
            self._stop(event, f"*{shown(event.anchor)} is in what it stands for")
        assert node is not None  # noqa: S101 - for the type checker: _stop raises
        return replace(node, spot=self._spot(event))

    def _close(self, opened: _Open) -> Node:
        size = 1 + sum(each.size for each in opened.items)
        if opened.kind == "array":
            node = Node("array", opened.spot, items=tuple(opened.items), size=size)
        else:
            node = self._mapping(opened, size)
        if opened.anchor:
            self._anchors[opened.anchor] = node
        return node

    def _mapping(self, opened: _Open, size: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Spot] = {}
        merged: list[Node] = []
        for key, value in zip(opened.items[::2], opened.items[1::2], strict=True):
            if key.kind in ("array", "object"):
                self._notes.mistake(key.spot, "a key is a word")
            elif key.kind == "merge":
                merged.extend(value.items if value.kind == "array" else [value])
            else:
                if key.text in entries:
                    there = keys[key.text].line
                    self._notes.warning(
                        key.spot, f"it stands in line {there} already, and this one is used", key=shown(key.text)
                    )
                entries[key.text], keys[key.text] = value, key.spot
        for other in merged:
            if other.kind != "object":
                self._notes.mistake(other.spot, "<< takes a mapping, or a list of some")
            size += other.size
            for name, value in other.entries.items():
                entries.setdefault(name, value)
                keys.setdefault(name, other.keys[name])
        return Node("object", opened.spot, entries=entries, keys=keys, size=size)
