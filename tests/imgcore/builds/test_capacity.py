# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/builds/capacity.py."""

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from imgcore.builds import capacity
from imgcore.config import Config


def config(place: Path, **more: int) -> Config:
    return Config(spool=place / "s", base_dir=place / "b" / "c", cache=place / "d", **more)


@pytest.mark.parametrize(("cores", "gibibytes", "slots"), [(8, 64, 8), (8, 6, 3), (4, 1, 1), (1, 64, 1)])
def test_there_are_as_many_slots_as_cores_and_memory_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, gibibytes: int, slots: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=gibibytes << 30))
    assert capacity.slots(config(tmp_path)) == slots
    assert capacity.slots(config(tmp_path, slots=5)) == 5


def test_a_machine_that_is_short_of_something_says_of_what(tmp_path: Path) -> None:
    assert capacity.shortage(config(tmp_path, free_memory_bytes=1, free_disk_bytes=1)) == ""
    assert "(free_memory)" in capacity.shortage(config(tmp_path, free_memory_bytes=1 << 60))
    short = capacity.shortage(config(tmp_path, free_disk_bytes=1 << 60))
    assert short.startswith(str(tmp_path / "b" / "c")) and short.endswith("(free_disk)")
