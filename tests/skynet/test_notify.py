# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves SkyNET/notify.py."""

import os
import socket
from collections.abc import Iterator

import pytest

from SkyNET.notify import Notifier


@pytest.fixture
def listener() -> Iterator[tuple[str, socket.socket]]:
    name = f"@imager-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name[1:])
        end.setblocking(False)
        yield name, end


def test_messages_reach_an_abstract_socket_and_a_status_is_one_line(listener: tuple[str, socket.socket]) -> None:
    name, end = listener
    Notifier({"NOTIFY_SOCKET": name}).ready("one\nWATCHDOG=trigger")
    assert end.recv(999) == b"READY=1\nSTATUS=one WATCHDOG=trigger"


def test_children_do_not_inherit_the_socket() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "OTHER": "1"}
    Notifier(environment)
    assert environment == {"OTHER": "1"}


@pytest.mark.parametrize(
    ("usec", "pid", "count"),
    [("1000000", "", 1), ("1000000", "me", 1), ("1000000", "1", 0), ("x", "", 0), ("0", "", 0)],
)
def test_the_watchdog_hears_of_us_only_if_it_watches_us_and_not_more_often_than_it_wants(
    listener: tuple[str, socket.socket], usec: str, pid: str, count: int
) -> None:
    name, end = listener
    pid = str(os.getpid()) if pid == "me" else pid
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid})
    for _ in range(5):
        notifier.alive()
    heard = []
    while True:
        try:
            heard.append(end.recv(999))
        except BlockingIOError:
            break
    assert heard == [b"WATCHDOG=1"] * count


def test_nobody_who_listens_is_no_failure() -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": "/nothing/there"}).stopping(1)
