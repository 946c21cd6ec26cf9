# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk that pages tell of stands still while they are compared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100 << 30, 60 << 30, 40 << 30))
        yield
