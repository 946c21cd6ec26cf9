# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schemas of the dialects, and the check of a tree against one.

The schemas are the law of what a file may say and ship as they are, for editors as well. What they use of JSON
Schema is so little that it is carried out here: with the place of every mistake, the nearest key that there
is, and no further dependency. A tree is walked once, so that the time is bounded by its size.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.mistakes import Notes, near
from imgcore.kickstarter.tree import Node

__all__ = ["DIALECTS", "check", "load", "text"]

DIALECTS = ("mer", "meego")
#: What is a number for JSON Schema; and what a person calls each kind.
_ALSO = {"integer": "number"}
_WORDS = {"null": "nothing", "boolean": "true or false", "integer": "a whole number", "number": "a number",
          "string": "text", "array": "a list", "object": "a mapping"}  # fmt: skip


def text(dialect: str) -> str:
    """The schema of a dialect as it ships."""
    return resources.files("imgcore.kickstarter").joinpath(f"{dialect}.schema.json").read_text(encoding="utf-8")


@functools.cache
def load(dialect: str) -> Mapping[str, Any]:
    """The schema of a dialect."""
    found: Mapping[str, Any] = json.loads(text(dialect))
    return found


def check(node: Node, dialect: str, kind: str, notes: Notes) -> bool:
    """Whether `node` is what the schema calls `kind` (a name in `$defs`); what is wrong is noted."""
    before = len(notes.mistakes)
    _Check(load(dialect), notes).node(node, {"$ref": f"#/$defs/{kind}"}, "")
    return len(notes.mistakes) == before


class _Check:
    def __init__(self, schema: Mapping[str, Any], notes: Notes) -> None:
        self._definitions: Mapping[str, Any] = schema["$defs"]
        self._notes = notes

    def node(self, node: Node, schema: Mapping[str, Any], key: str) -> None:
        """Check a value; `key` is what it belongs to."""
        if "$ref" in schema:
            schema = {**self._definitions[schema["$ref"].removeprefix("#/$defs/")], **schema}
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types and node.kind not in types and _ALSO.get(node.kind) not in types:
            wanted = " or ".join(_WORDS[each] for each in types if each != "null")
            remedy = "put it into quotation marks" if "string" in types and node.kind == "boolean" else ""
            self._notes.mistake(node.spot, f"{_what(node, schema)} is not {wanted}", remedy, key)
        elif node.kind == "object":
            self._entries(node, schema, key)
        elif node.kind == "array":
            for item in node.items:
                self.node(item, schema.get("items", {}), key)
        elif node.kind != "null":
            self._scalar(node, schema, key)

    def _entries(self, node: Node, schema: Mapping[str, Any], key: str) -> None:
        known: Mapping[str, Any] = schema.get("properties", {})
        patterns: Mapping[str, Any] = schema.get("patternProperties", {})
        others = schema.get("additionalProperties", {})
        for name in schema.get("required", ()):
            if name not in node.entries:
                self._notes.mistake(node.spot, f"{name} is missing", key=key)
        for name, value in node.entries.items():
            inner = known.get(name) or next((patterns[each] for each in patterns if re.search(each, name)), None)
            if inner is None and others is False:
                close = near(name, known)
                self._notes.missing(node.keys[name], f"there is no such key{close}", key=shown(name))
                continue
            if inner is None and value.kind != "object":
                # What is no known key is the name of a section, or was to be one of them.
                close = near(name, known)
                what = f"{_what(value)} is not a mapping, and there is no such key{close}"
                self._notes.missing(node.keys[name], what, key=shown(name))
                continue
            self.node(value, others if inner is None else inner, shown(name))

    def _scalar(self, node: Node, schema: Mapping[str, Any], key: str) -> None:
        pattern = schema.get("pattern")
        if node.kind == "string" and pattern and not re.search(pattern, node.text):
            what = f"{_what(node, schema)} is not {schema.get('title', 'what it can be')}"
            self._notes.mistake(node.spot, what, "", key)
        if "maxLength" in schema and node.kind == "string" and len(node.text) > schema["maxLength"]:
            self._notes.mistake(node.spot, f"it has more than {schema['maxLength']} characters", "", key)
        if node.kind == "integer" and "minimum" in schema:
            number = int(node.text) if re.fullmatch(r"[+-]?[0-9]{1,18}", node.text) else -1
            if not schema["minimum"] <= number <= schema["maximum"]:
                what = f"{_what(node)} is not from {schema['minimum']} to {schema['maximum']}"
                self._notes.mistake(node.spot, what, "", key)


def _what(node: Node, schema: Mapping[str, Any] | None = None) -> str:
    """The value as a message may show it; a password is not shown."""
    if node.text and schema and schema.get("format") == "password":
        return "the password"
    return shown(node.text, 60) if node.text else _WORDS[node.kind]
