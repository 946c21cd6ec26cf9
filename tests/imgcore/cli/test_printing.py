# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/printing.py: JSON of records with names that are not UTF-8."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.spool import Spool
from tests.support.img import Home
from tests.support.records import add

ODD = "caf\udce9 é"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two jobs; the later one has a name that is not UTF-8 wherever one can be."""
    home = Home(tmp_path / "home", PYTHONIOENCODING="latin-1:strict")
    spool = Spool(home.spool)
    add(spool, "one-1")
    add(spool, "odd-1", name=ODD, user=ODD, tags=(ODD,))
    with spool.start("odd-1", "worker-1") as claim:
        file = {"name": ODD, "kind": "image", "size": 1, "sha256": ""}
        claim.finish(Status.ERROR, ODD, error=ODD, error_cause=ODD, directory=f"/{ODD}", artifacts=(file,))
    return home


@pytest.mark.parametrize(
    "command", ["jobs", "show odd-1", "top", "stats", "diff one-1 odd-1", "files odd-1", "find caf"]
)
def test_a_name_that_is_not_utf_8_is_valid_json(home: Home, command: str) -> None:
    done = home.img(*command.split(), "--json")
    assert (done.code, done.err) == (1 if command.startswith("diff") else 0, "")
    lines = done.out.splitlines() if command in ("jobs", "find caf") else [done.out]
    told = json.dumps([json.loads(line) for line in lines])
    assert json.dumps(ODD).strip('"') in told or command == "find caf"
