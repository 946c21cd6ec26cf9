# SPDX-License-Identifier: GPL-2.0-or-later
"""Every record that a test of imgcore puts on disk is checked against the schema that ships."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from imgcore import atomic
from imgcore.spool import Spool

# `pytest` alone, unlike `python -m pytest`, does not look for tests.support where it is started.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.records import a_spool, validate


@pytest.fixture(autouse=True)
def every_record_is_as_the_schema_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    put, write_new = atomic.Slot.put, atomic.write_new
    refused: list[str] = []

    def check(path: Path, content: bytes) -> None:
        if path.name == "job.json":
            try:
                validate(content)
            except jsonschema.ValidationError as error:
                # Kept, not raised: the code under test could turn it into something else.
                refused.append(f"{path}: {error.json_path} {error.message}")

    def checked_put(slot: atomic.Slot, content: bytes, **how: Any) -> None:
        check(slot.path, content)
        put(slot, content, **how)

    def checked_write_new(path: Path, content: bytes, *mode: int) -> None:
        check(path, content)
        write_new(path, content, *mode)

    monkeypatch.setattr(atomic.Slot, "put", checked_put)
    monkeypatch.setattr(atomic, "write_new", checked_write_new)
    yield
    assert refused == []


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool; whatever a test does with it leaves no file open."""
    made = a_spool(tmp_path)
    before = _open_files()
    yield made
    assert sorted(set(_open_files()) - set(before)) == []


def _open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue  # the listing's own
    return [path for path in found if "/spool" in path]
