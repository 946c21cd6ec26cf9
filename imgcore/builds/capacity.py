# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine has room for: how many builds at once, and whether another can begin now."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from imgcore.config import Config

__all__ = ["shortage", "slots"]

_MEMORY_PER_BUILD = 2 << 30


def slots(config: Config) -> int:
    """How many builds this machine runs at once: as configured, or one a core as far as memory goes."""
    by_memory = psutil.virtual_memory().total // _MEMORY_PER_BUILD
    return config.slots or max(1, min(len(os.sched_getaffinity(0)), by_memory))


def shortage(config: Config) -> str:
    """Why no build can begin now, in a sentence; "" where one can."""
    free = psutil.virtual_memory().available
    if free < config.free_memory_bytes:
        return f"{free >> 20} MiB of memory are free, less than {config.free_memory_bytes >> 20} MiB (free_memory)"
    for place in (config.base_dir, config.cache, config.spool):
        free = psutil.disk_usage(str(_existing(place))).free
        if free < config.free_disk_bytes:
            return f"{place}: {free >> 20} MiB are free, less than {config.free_disk_bytes >> 20} MiB (free_disk)"
    return ""


def _existing(place: Path) -> Path:
    return next(each for each in (place, *place.parents) if each.exists())
