# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m imgcore.kickstarter`: the table of docs/kickstarter.md, from the schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgcore.kickstarter.schema import DIALECTS, load

__all__ = ["table"]

_NAMES = {"mer": "Mer", "meego": "MeeGo"}


def table() -> Iterator[str]:
    """The lines of the table: every key of an image or section, what it takes, and which dialects have it."""
    fields: dict[str, dict[str, Mapping[str, Any]]] = {}
    for dialect in DIALECTS:
        for key, field in load(dialect)["$defs"]["configuration"]["properties"].items():
            fields.setdefault(key, {})[dialect] = field
    yield "| key | value | what it becomes | default | dialect |"
    yield "|---|---|---|---|---|"
    for key, found in fields.items():
        dialect, field = next(iter(found.items()))
        kind = load(dialect)["$defs"][field["$ref"].removeprefix("#/$defs/")]["title"]
        default = {True: "True", False: "False"}.get(field.get("default", ""), field.get("default", ""))
        where = "both" if len(found) == len(DIALECTS) else _NAMES[dialect]
        yield f"| `{key}` | {kind} | {field['description']} | {default} | {where} |"


if __name__ == "__main__":
    print("\n".join(table()))
