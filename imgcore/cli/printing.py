# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON as the commands print it: UTF-8 wherever they run, and valid whatever names a record holds."""

from __future__ import annotations

import json

import click

__all__ = ["as_json"]


def as_json(told: object, *, indent: int | None = None) -> None:
    """Print `told` as JSON."""
    text = json.dumps(told, indent=indent, ensure_ascii=False)
    # As in the record: half a character (of a file name that is not UTF-8) is escaped, just as JSON has it.
    click.echo(text.encode("utf-8", "backslashreplace"))
