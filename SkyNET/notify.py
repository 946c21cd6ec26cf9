# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells systemd, where it listens, how the service is: sd_notify(3)'s datagrams, without its library.

Every call is silent and harmless where nobody listens.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

__all__ = ["Notifier"]


class Notifier:
    """The messages. Reads its environment once and takes it away, so that children do not speak for us."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        environ = os.environ if environment is None else environment
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._interval = _interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        self._next = 0.0

    def ready(self, status: str) -> None:
        """The service is up, or has read its configuration again."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """What a person reads in `systemctl status`."""
        self._send(f"STATUS={status}")

    def waiting(self, status: str, seconds: float) -> None:
        """The start takes longer, which is no failure."""
        self._send(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int((seconds + 30) * 1e6)}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, seconds: float) -> None:
        """The end begins and may take so long."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((seconds + 10) * 1e6)}")

    def alive(self) -> None:
        """Call it often; it speaks as often as the watchdog wants."""
        if self._interval is not None and (now := time.monotonic()) >= self._next:
            self._next = now + self._interval
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # One line each: what a status quotes must not become a second message.
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
                end.setblocking(False)
                end.sendto(text.encode(errors="replace"), address)
        except OSError:
            # Nobody listens any more, or too slowly; the service's work is more important.
            return


def _interval(microseconds: str, pid: str) -> float | None:
    """Seconds between two signs of life: half of what the watchdog allows; None when it does not watch us."""
    if not microseconds.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2e6 or None
