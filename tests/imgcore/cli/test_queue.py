# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/queue.py: a worker's answer, which may be anything, as one line."""

from __future__ import annotations

from typing import Any

import pytest

from imgcore.cli.queue import told

ANSWER = {"worker": "w", "host": "h", "state": "taking", "why": "", "slots": 2, "held": [{}], "outbox": 0}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "h/w: taking, 1 of 2 slots in use"),
        ({"state": "paused", "why": "paused"}, "h/w: paused, 1 of 2 slots in use"),
        ({"state": "waiting", "why": "no memory"}, "h/w: waiting (no memory), 1 of 2 slots in use"),
        ({"outbox": 3}, "h/w: taking, 1 of 2 slots in use, 3 messages unsent"),
    ],
)
def test_a_worker_is_one_line(more: dict[str, Any], line: str) -> None:
    assert told({**ANSWER, **more}) == line


@pytest.mark.parametrize("value", [None, 3, "\x1b[2J\n", {"a": 1}, [None, "x", 3]])
@pytest.mark.parametrize("field", ANSWER)
def test_no_answer_can_break_the_line_or_the_terminal(field: str, value: object) -> None:
    line = told({**ANSWER, field: value})
    assert line.isprintable()
