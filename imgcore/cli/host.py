# SPDX-License-Identifier: GPL-2.0-or-later
"""A participant in the foreground of a terminal or a unit, without a configuration file of its own.

SIGTERM ends the process within `stop_timeout`; builds under way go on, and are found again at the next start. Ctrl-C
waits for them, a second one cancels them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from imgcore import atomic
from imgcore.cli import farm
from imgcore.errors import ImagerError, InputError
from imgcore.lock import Lock

if TYPE_CHECKING:
    from SkyNET.exo import Exo

__all__ = ["host", "named"]

_MOST_NAMES = 1000
#: Where a journal has what waits (RuoteAMQP.journal).
_BOXES = ("inbox", "outbox")
#: In its place no skynet.conf is found: what --broker says is not to be mixed with another broker's login.
_NOWHERE = Path(os.devnull)


def named(name: str | None, stem: str) -> tuple[str, Lock]:
    """A name that no other process of this user on this machine has: `name`, or a free one of stem-1, stem-2 …

    The first in whose journal something waits, so that what another worker has left is gone on with; else the first.

    The lock belongs to it. Raises InputError, SpoolError.
    """
    place = _state()
    atomic.make_directory(place)
    names = [name] if name else [f"{stem}-{number}" for number in range(1, _MOST_NAMES)]
    waiting = [each for each in names if any(path for box in _BOXES for path in (place / each / box).glob("*"))]
    for candidate in [*waiting, *names]:
        lock = Lock(place / f"{candidate}.lock")
        if lock.acquire(wait=False):
            return candidate, lock
        lock.close()
    raise InputError(f"{name or stem} runs already on this machine", "end that one, or give another name")


def host(
    participant: str,
    name: str,
    options: Mapping[str, str],
    address: str | None,
    password_file: Path | None,
) -> int:
    """Host `participant` until a signal or a drain ends it; the exit code. `options` are of section participant."""
    from RuoteAMQP.connection import BrokerError
    from SkyNET.configuration import ConfigurationError
    from SkyNET.exo import Exo

    farm.find(address, password_file)  # whose errors are for people
    code = find_spec(f"participants.{participant}")
    own = {"name": name, "code": str(code.origin if code else ""), "journal": str(_state() / name), **options}
    changes = {**(farm.boss(address, password_file) if address else {}), "participant": own}
    try:
        exo = Exo(os.devnull, _NOWHERE if address else farm.directory(), changes)
        signals = _Signals(exo)
        exo.run()
    except ConfigurationError as error:
        raise InputError(str(error)) from error
    except BrokerError as error:
        raise ImagerError(str(error)) from error
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that watches a build must not keep the process.
    os._exit(130 if signals.cancelled else 0)


def _state() -> Path:
    """Where what a process must know at its next start is kept: systemd's directory, or the user's."""
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    own = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(own) if own.startswith("/") else Path.home() / ".local/state") / "imager"
    except RuntimeError as error:
        raise InputError("HOME is not set, and this user has no home directory", "set HOME") from error


class _Signals:
    """What signals do to the host."""

    def __init__(self, exo: Exo) -> None:
        self._exo = exo
        self._drains = False
        self.cancelled = False
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, self._interrupted)
        # A terminal that goes away is no reason to read the configuration again.
        signal.signal(signal.SIGHUP, self._leave if os.isatty(0) else lambda *_: exo.reload())

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self._exo.finish()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if not self._drains:
            self._drains = True
            self._exo.drain()
            if held := self._held():
                _say(f"waiting for {', '.join(held)}; Ctrl-C again cancels {'it' if len(held) == 1 else 'them'}")
        elif not self.cancelled and self._held():
            self.cancelled = True
            _say("cancelling what is being built")
            # Not here: what the signal interrupted may hold the locks that this takes.
            threading.Thread(target=self._cancel, daemon=True).start()
        else:
            self._exo.finish()

    def _held(self) -> list[str]:
        return [str(each["image_id"] or each["step"]) for each in self._exo.status()["held"]]

    def _cancel(self) -> None:
        for each in self._held():
            self._exo.controlled({"action": "cancel", "image_id": each, "who": "Ctrl-C at the worker"})


def _say(text: str) -> None:
    # Not through a buffer, which the signal may have interrupted.
    os.write(2, f"img: {text}\n".encode())
