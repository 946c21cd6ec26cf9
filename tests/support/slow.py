# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds with a tool that takes as long as a test wants, in real sandboxes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from imgcore.config import Config
from imgcore.job import Job, Status
from imgcore.spool import Spool

__all__ = ["configuration", "kickstart", "until", "when_building"]

_TOOL = Path(__file__).with_name("slow_tool.py")


def configuration(place: Path, **more: object) -> Config:
    """A configuration below `place`, whose tool is slow_tool.py."""
    commands = {"slow": (str(_TOOL),)}
    places = {name: place / name for name in ("spool", "base_dir", "cache")}
    return Config(**{**places, "tool": "slow", "commands": commands, **more})  # type: ignore[arg-type]


def kickstart(seconds: float = 0, *lines: str) -> str:
    """A kickstart whose build takes so long."""
    return "\n".join((f"# seconds: {seconds}", *lines, "part / --size=10", "%packages", "hello", "%end", ""))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it is so, for at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def when_building(spool: Spool, image_id: str) -> Job:
    """The job as soon as its tool runs."""
    log = spool.log(image_id)
    until(lambda: log.exists() and "package" in log.read_text() and spool.read(image_id).status is Status.BUILDING)
    return spool.read(image_id)
