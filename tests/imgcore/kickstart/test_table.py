# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that docs/kickstart.md has the table that the code makes."""

from pathlib import Path

from imgcore.kickstart.dialect import names
from imgcore.kickstart.table import put, table

PAGE = Path(__file__).parents[3] / "docs/kickstart.md"


def test_the_page_has_the_table_as_the_code_makes_it() -> None:
    page = PAGE.read_text()
    assert put(page) == page


def test_every_command_has_a_row() -> None:
    made = table()
    assert [name for name in names() if f"\n| `{name}` |" not in made] == []
