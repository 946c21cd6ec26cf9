# SPDX-License-Identifier: GPL-2.0-or-later
"""The broker for the tests of this directory."""

import sys
from pathlib import Path

# `pytest` alone, unlike `python -m pytest`, does not look for tests.support where it is started.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.broker import broker, engine, queue

__all__ = ["broker", "engine", "queue"]
