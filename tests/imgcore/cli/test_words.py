# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that the command line and its messages share: units of time, names of commands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgcore.amounts import UNITS
from imgcore.cli import group
from imgcore.cli.selecting import moment
from imgcore.config import parse_duration

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("unit", "seconds"), UNITS.items())
def test_a_time_limit_and_an_age_know_the_same_units(unit: str, seconds: int) -> None:
    for text in (f"2{unit}", f"2 {unit.upper()}"):
        assert parse_duration(text) == 2 * seconds
        ago = datetime.now(UTC) - moment(text)
        assert abs(ago - timedelta(seconds=2 * seconds)) < timedelta(seconds=1)


def test_every_command_that_a_message_or_a_document_names_is_there() -> None:
    places = [*(_ROOT / "imgcore").rglob("*.py"), *(_ROOT / "participants").glob("*.py")]
    places += [*(_ROOT / "docs").glob("*.md"), _ROOT / "README.md"]
    named = {(name, path.name) for path in places for name in re.findall(r"`img ([a-z]+)", path.read_text())}
    there = group.list_commands(None)  # type: ignore[arg-type]
    assert len(named) > 40
    assert {each for each in named if each[0] not in there} == set()
