# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/devices.py: device-mapper by a picture of /sys; loop devices for real in test_mic.py."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from imgcore.executor import devices


def holder(block: Path, below: str, name: str, mapped: str) -> None:
    (block / below / "holders").mkdir(parents=True, exist_ok=True)
    (block / below / "holders" / name).touch()
    (block / name / "dm").mkdir(parents=True)
    (block / name / "dm" / "name").write_text(f"{mapped}\n")


def test_what_is_stacked_on_our_loop_device_is_removed_from_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder(tmp_path, "loop5", "dm-0", "loop5p1")
    holder(tmp_path, "dm-0", "dm-1", "on-top")
    holder(tmp_path, "loop6", "dm-2", "somebody-else")
    monkeypatch.setattr(devices, "_made_of", lambda name: {"loop5": 77, "loop6": 78}[name])
    ran: list[Sequence[str]] = []
    devices.release(77, frozenset(), block=tmp_path, run=ran.append)
    assert [command[-1] for command in ran] == ["on-top", "loop5p1"]
    assert all(command[:2] == ["dmsetup", "remove"] for command in ran)
