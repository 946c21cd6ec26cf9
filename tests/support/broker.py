# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures for tests that need a broker: one node a session, an engine a test, a queue name a test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine
from tests.support.rabbitmq import Node, node

__all__ = ["broker", "engine", "queue"]

_names = itertools.count(1)
_shared: list[Node] = []


@pytest.fixture(scope="session")
def broker() -> Iterator[Node]:
    """The node. Tests may restart it; it runs when they end."""
    if _shared:
        # Both directories of tests have this fixture; the node is one.
        yield _shared[0]
        return
    with node() as made:
        _shared.append(made)
        yield made
        _shared.clear()


@pytest.fixture
def engine(broker: Node) -> Iterator[Engine]:
    """An engine that reads while the test runs."""
    with Engine(broker) as made:
        yield made


@pytest.fixture
def queue() -> str:
    """A queue's name that no other test has."""
    return f"participant_{os.getpid()}_{next(_names)}"
