# SPDX-License-Identifier: GPL-2.0-or-later
"""What a participant reads and writes, declared once: its documentation is made from it, and tests hold it to it.

A name is a dotted path in a workitem's fields (`image.name`); a parameter is an attribute of the step. A leaf.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Declaration", "Field", "table"]

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "object"}


@dataclass(frozen=True)
class Field:
    """One field, or some that belong together: `name` is `image.a`, or `image.a, b` for `image.a` and `image.b`.

    `kind` is what the value is: a Python type, or words (`list of texts`).
    """

    name: str
    kind: type | str
    meaning: str
    mandatory: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The full name of each field."""
        first, *others = self.name.split(", ")
        above = first[: first.rfind(".") + 1]
        return (first, *(above + each for each in others))

    @property
    def kind_in_words(self) -> str:
        """The kind, for people."""
        return self.kind if isinstance(self.kind, str) else _KINDS.get(self.kind, self.kind.__name__)


@dataclass(frozen=True)
class Declaration:
    """What `participant` reads of the fields, which attributes its step may have, and what it writes."""

    participant: str
    reads: tuple[Field, ...]
    params: tuple[Field, ...] = ()
    writes: tuple[Field, ...] = ()


def table(declarations: Iterable[Declaration]) -> str:
    """The declarations as Markdown: a heading and a table each."""
    return "\n".join(_table(each) for each in declarations)


def _table(declared: Declaration) -> str:
    lines = [f"### {declared.participant}", "", "| | field | what it is | |", "|---|---|---|---|"]
    for role, fields in (("reads", declared.reads), ("attribute", declared.params), ("writes", declared.writes)):
        for field in fields:
            must = " (mandatory)" if field.mandatory else ""
            cells = (
                role,
                ", ".join(f"`{name}`" for name in field.names),
                f"{field.kind_in_words}{must}",
                field.meaning,
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
