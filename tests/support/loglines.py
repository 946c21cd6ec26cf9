# SPDX-License-Identifier: GPL-2.0-or-later
"""What the code logs: the text of each line, with `…` for what is put in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.checkout import ROOT

__all__ = ["ROOMS", "logged"]

#: Whose lines an administrator sees in a journal.
ROOMS = ("RuoteAMQP", "SkyNET", "participants", "imgcore")
_LEVELS = ("info", "warning", "error", "exception")
_PLACE = re.compile(r"%[-+ #0]*[\d.]*[srdfgx]")


def logged() -> set[str]:
    """The lines of all log calls, but those at level DEBUG and those that pass on somebody else's text."""
    lines = {line for room in ROOMS for path in (ROOT / room).rglob("*.py") for line in _of(path)}
    return {line for line in lines if re.search(r"[a-z]{2}", line)}


def _of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _LEVELS
            and re.search(r"(?i)log$", ast.unparse(node.func.value))
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield _PLACE.sub("…", node.args[0].value)
