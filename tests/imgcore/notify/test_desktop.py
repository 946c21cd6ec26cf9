# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/desktop.py, with a notify-send that keeps its arguments."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.notify import desktop
from tests.support.records import a_job

FAILED = a_job(status=Status.ERROR, name="tiny", error="<b>no</b> & \x1b[2J -x")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what notify-send gets comes; there is a display."""
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/told\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path / "told"


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard error is a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as file, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", file)
        yield


def test_who_waits_at_a_terminal_with_a_display_is_told_without_markup(
    told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch):
        desktop.tell(FAILED)
    end = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert told.read_text().splitlines() == [
        "--urgency=critical", "--app-name=Imager", "--", "tiny: ERROR", "&lt;b&gt;no&lt;/b&gt; &amp;  -x",
    ]  # fmt: skip


def test_a_script_is_not_told(told: Path) -> None:
    desktop.tell(FAILED)
    time.sleep(0.5)
    assert not told.exists()


def test_nobody_is_told_without_a_display_or_the_program(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    with terminal(monkeypatch):
        desktop.tell(FAILED)
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.setenv("PATH", "/nowhere")
        desktop.tell(FAILED)
    time.sleep(0.5)
    assert not told.exists()
