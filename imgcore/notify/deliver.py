# SPDX-License-Identifier: GPL-2.0-or-later
"""Delivers notices: what has ended becomes letters in the outbox, and each channel delivers its own.

One process at a time a spool, and in it a thread a channel, so that one that hangs delays nobody but itself. Being
killed at any moment loses nothing; at most somebody is told twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgcore.buildlog import printable
from imgcore.errors import ImagerError, SpoolError
from imgcore.job import timestamp
from imgcore.lock import Lock
from imgcore.notify import ended, notice
from imgcore.notify.channel import Channel, NotDelivered
from imgcore.notify.outbox import Letter, Outbox, Unreadable, read
from imgcore.spool import Spool

__all__ = ["Deliverer", "delivering"]

#: Between two looks at what has ended and what is due (seconds).
_LOOK_SECONDS = 0.5
#: After something that the disk is to blame for.
_PAUSE_SECONDS = 10.0
#: How long another process is given to see what has ended.
_PATIENCE_SECONDS = 60.0
_NO_CHANNEL = "no such channel any more"
_LOG_BYTES = 1 << 20
_LONGEST = 500


@contextmanager
def delivering(root: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the right to deliver the notices of the spool at `root`; false where somebody else sees to all there is.

    With `wait` that one's end is waited for.
    """
    ended.begin(root)
    lock = Lock(ended.place(root) / "lock")
    until = time.monotonic() + _PATIENCE_SECONDS
    try:
        while not (mine := lock.acquire(wait=False)):
            # Who has it may have looked for the last time before the newest job ended: then it is about to let go.
            if not wait and (not ended.noted(root) or time.monotonic() > until):
                break
            time.sleep(_LOOK_SECONDS)
        yield mine
    finally:
        lock.close()


class Deliverer:
    """Delivers the notices of a spool by these channels; `told` hears of each attempt, a line each."""

    def __init__(self, spool: Spool, channels: Sequence[Channel], told: Callable[[str], None]) -> None:
        self._spool = spool
        self._channels = channels
        self._told = told
        self._place = ended.place(spool.root)
        self._outbox = Outbox(self._place)
        self._threads: dict[str, threading.Thread] = {}
        self._faults: list[SpoolError | OSError] = []
        self._guard = threading.Lock()

    def run(self, seconds: float | None) -> None:
        """Deliver all that is due, then go on for up to `seconds` (None: for ever) while something waits.

        Raises SpoolError (for ever none), and OSError where `told` does.
        """
        until = time.monotonic() + (seconds or 0)
        while True:
            try:
                busy = self._look()
            except SpoolError as error:
                if seconds is not None:
                    raise
                self._told(str(error))
                time.sleep(_PAUSE_SECONDS)
                continue
            if not busy and seconds is not None and (time.monotonic() >= until or not self._waits()):
                return
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> bool:
        """Begin whatever can be begun; whether anything is under way. Raises what a thread raised, SpoolError."""
        if self._faults:
            raise self._faults.pop()
        self._spread()
        for letter in self._outbox.give_up_all_but({each.name for each in self._channels}, _NO_CHANNEL):
            self._say(f"{letter.image_id} by {letter.channel}: {_NO_CHANNEL}; given up")
        for channel in self._channels:
            thread = self._threads.get(channel.name)
            if (thread is None or not thread.is_alive()) and self._outbox.due(channel.name):
                # A daemon: what hangs does not keep the process.
                thread = threading.Thread(target=self._drain, args=(channel,), daemon=True)
                self._threads[channel.name] = thread
                thread.start()
        return any(each.is_alive() for each in self._threads.values()) or bool(self._faults)

    def _waits(self) -> bool:
        return any(self._outbox.holds(channel.name) for channel in self._channels)

    def _spread(self) -> None:
        """Make the letters of what has ended."""
        for image_id, seq in ended.noted(self._spool.root):
            try:
                job = notice.of(self._spool, image_id, seq)
            except SpoolError:
                continue  # until it can be read, or is set aside
            for channel in self._channels if job else ():
                for whom in channel.whom(job or {}):
                    self._outbox.put(Letter(image_id, seq, channel.name, whom, job or {}))
            ended.forget(self._spool.root, image_id, seq)

    def _drain(self, channel: Channel) -> None:
        """Deliver what is due by the channel."""
        try:
            for path in self._outbox.due(channel.name):
                self._attempt(channel, path)
        except (SpoolError, OSError) as error:
            self._faults.append(error)

    def _attempt(self, channel: Channel, path: Path) -> None:
        try:
            letter = read(path)
        except Unreadable as error:
            self._outbox.set_aside(path)
            self._say(f"{path.name} cannot be read: {error}")
            return
        about = f"{letter.image_id} ({letter.job.get('status')}) by {channel.name}" + f" {letter.whom}".rstrip()
        try:
            channel.deliver(letter, lambda line: self._log(f"{letter.image_id} {channel.name} {line}"))
        except Exception as error:
            # Also a fault of ours must not stop the others.
            told = isinstance(error, NotDelivered | ImagerError)
            text = str(error) if told else f"{type(error).__name__}: {error}"
            reason = " ".join(printable(text).split())[:_LONGEST]
            if isinstance(error, NotDelivered) and error.final:
                self._outbox.give_up(path, letter, reason)
                self._say(f"{about}: {reason}; given up")
            else:
                after = self._outbox.postpone(path, letter, reason)
                self._say(f"{about}: {reason}; " + (f"again in {after:g} s" if after else "given up"))
        else:
            self._outbox.delivered(path)
            self._say(f"{about}: delivered")

    def _say(self, text: str) -> None:
        self._log(text)
        self._told(text)

    def _log(self, text: str) -> None:
        """A line in notices/log, which does not grow for ever, and whose lack changes nothing."""
        line = f"{timestamp()} {printable(text)}\n".encode("utf-8", "replace")
        path = self._place / "log"
        with self._guard, contextlib.suppress(OSError):
            with path.open("ab") as file:
                file.write(line)
                if file.tell() < _LOG_BYTES:
                    return
            path.replace(path.with_name("log.1"))
