# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests that use `img` share: one small repository, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import small
from tests.support.img import Home


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.repository(tmp_path_factory.mktemp("small") / "repository")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")
