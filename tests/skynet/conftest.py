# SPDX-License-Identifier: GPL-2.0-or-later
"""The broker for the tests of this directory, and what a hosted participant changes in a process put back."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# `pytest` alone, unlike `python -m pytest`, does not look for tests.support where it is started.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.broker import broker, engine, queue

__all__ = ["broker", "engine", "queue"]


@pytest.fixture(autouse=True)
def the_process_is_as_before() -> Iterator[None]:
    """Hosting sets up logging, the environment and the paths of a process that is its own; here it is not."""
    root, pika = logging.getLogger(), logging.getLogger("pika")
    levels = (root.level, pika.level)
    environment, paths, modules = dict(os.environ), list(sys.path), set(sys.modules)
    yield
    for handler in [handler for handler in root.handlers if handler.filters]:
        root.removeHandler(handler)
    root.setLevel(levels[0])
    pika.setLevel(levels[1])
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = paths
    for name in ("bad_code", "old_participant", "needs_neighbour", "a_neighbour_of_mine"):
        if name not in modules:
            sys.modules.pop(name, None)
