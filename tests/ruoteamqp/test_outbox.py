# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves RuoteAMQP/outbox.py without a broker; what it sends is proved in test_durable.py."""

from RuoteAMQP.journal import Memory
from RuoteAMQP.outbox import Outbox


def test_a_delivery_without_a_step_is_not_taken_for_one_that_is_being_answered() -> None:
    outbox = Outbox(Memory(), lambda: None)
    outbox.post("statuses", b"{}")
    outbox.answer("w!s!0", "engine", b"{}")
    assert not outbox.answers("")
    assert outbox.answers("w!s!0")


def test_a_lossy_message_is_forgotten_while_there_is_no_connection() -> None:
    woken: list[int] = []
    outbox = Outbox(Memory(), lambda: woken.append(1))
    outbox.lossy("q", b"{}")
    assert (len(outbox), woken) == (0, [])


def test_who_waits_for_a_confirm_is_told_that_none_will_come() -> None:
    outbox = Outbox(Memory(), lambda: None)
    letter = outbox.post("q", b"{}")
    outbox.abandon(RuntimeError("over"))
    assert letter.sent.is_set()
    assert str(letter.error) == "over"
