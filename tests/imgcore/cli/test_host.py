# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/host.py: the names of processes on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.cli import host
from imgcore.errors import InputError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_first_free_name_is_taken_and_freed_with_its_lock() -> None:
    taken = [host.named(None, "worker") for _ in range(3)]
    assert [name for name, _ in taken] == ["worker-1", "worker-2", "worker-3"]
    taken[1][1].close()
    assert host.named(None, "worker")[0] == "worker-2"


def test_the_name_of_a_worker_that_left_something_is_taken_first(state: Path) -> None:
    left = state / "imager/worker-3/inbox"
    left.mkdir(parents=True)
    (left / "w!s!0.json").write_text("{}")
    assert [host.named(None, "worker")[0], host.named(None, "worker")[0]] == ["worker-3", "worker-1"]


def test_a_name_that_another_process_has_is_refused() -> None:
    name, lock = host.named("mine", "worker")
    assert name == "mine"
    with pytest.raises(InputError, match="mine runs already"):
        host.named("mine", "worker")
    lock.close()
    assert host.named("mine", "worker")[0] == "mine"


def test_systemd_says_where_the_state_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "unit"))
    _, lock = host.named(None, "worker")
    assert lock.path == tmp_path / "unit/worker-1.lock"
