# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory in memory, where there is such: for tests that would only wait for the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["in_memory"]


@contextmanager
def in_memory() -> Iterator[Path]:
    shared = Path("/dev/shm")
    place = shared if shared.is_dir() and os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="imager-test-", dir=place) as made:
        yield Path(made)
