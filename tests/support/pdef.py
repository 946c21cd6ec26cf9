# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the Ruby text of a process into its tree: what `Ruote.process_definition … do … end` of ours needs.

Calls with attributes that are texts, numbers, true and false; blocks; comments. Everything else is a ValueError with
the line: text of ours that this cannot read is to be written more simply.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["read"]

_LINE = re.compile(r"(?:Ruote\.)?(?P<name>[a-z_]+)(?:\s+(?!do$)(?P<rest>.+?))?(?P<block>\s+do)?$")
_TEXT = r"'(?:[^'\\]|\\.)*'"
_VALUE = rf"{_TEXT}|-?\d+(?:\.\d+)?|true|false"
_ATTRIBUTE = re.compile(rf"(?:(?P<key>:[a-z_]+|{_TEXT})\s*=>\s*)?(?P<value>{_VALUE})\s*(?:,\s*|$)")


def read(text: str) -> list[Any]:
    """The tree. Raises ValueError."""
    root: list[Any] = ["", {}, []]
    open_blocks = [root]
    for number, line in enumerate(text.splitlines(), 1):
        code = line.strip()
        if not code or code.startswith("#"):
            continue
        if code == "end":
            open_blocks.pop()
            if not open_blocks:
                raise ValueError(f"line {number}: an end too many")
            continue
        found = _LINE.fullmatch(code)
        if not found:
            raise ValueError(f"line {number}: {code!r} is not understood")
        # Ruby has words of its own: ruote takes `_if` for `if`, and so on.
        name = found["name"].removeprefix("_").replace("process_definition", "define")
        tree: list[Any] = [name, _attributes(found["rest"] or "", number), []]
        open_blocks[-1][2].append(tree)
        if found["block"]:
            open_blocks.append(tree)
    if len(open_blocks) != 1 or len(root[2]) != 1:
        raise ValueError("one definition, whose blocks all end, is wanted")
    definition: list[Any] = root[2][0]
    return definition


def _attributes(text: str, number: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    while text:
        found = _ATTRIBUTE.match(text)
        if not found:
            raise ValueError(f"line {number}: {text!r} is not understood")
        value = _value(found["value"])
        if found["key"]:
            key = found["key"]
            attributes[key[1:] if key.startswith(":") else _value(key)] = value
        else:
            attributes[value] = None
        text = text[found.end() :]
    return attributes


def _value(text: str) -> Any:
    return re.sub(r"\\(['\\])", r"\1", text[1:-1]) if text.startswith("'") else json.loads(text)
