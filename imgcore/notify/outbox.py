# SPDX-License-Identifier: GPL-2.0-or-later
"""What waits to be delivered, and what was given up: a JSON file each, whose time is when it is tried next.

    notices/waiting/CHANNEL/ID~SEQ~WHOM    {"image_id", "seq", "channel", "whom", "attempts", "reason", "job"}
    notices/failed/CHANNEL/                the same, with the reason of the last attempt

The times between two attempts grow; after the last it has failed. Delivering is for one process at a time, which
holds the lock of notices/. A leaf.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imgcore import atomic

__all__ = ["WAITS", "Letter", "Outbox", "Unreadable"]

#: Seconds from each attempt to the next: ten attempts within a day.
WAITS = (10, 60, 300, 900, 3600, 2 * 3600, 4 * 3600, 6 * 3600, 9 * 3600)


class Unreadable(Exception):
    """A file in the outbox that is none of ours; the text says why."""


@dataclass(frozen=True)
class Letter:
    """One notice for one receiver of a channel.

    `job` is what is told; `attempts` have failed, the last for `reason`.
    """

    image_id: str
    seq: int
    channel: str
    whom: str
    job: Mapping[str, Any]
    attempts: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        """The same for the same notice and receiver, different for any other; a file name."""
        digest = hashlib.sha256(self.whom.encode("utf-8", "backslashreplace")).hexdigest()[:12]
        return f"{self.image_id}~{self.seq}~{digest}"

    @property
    def unique(self) -> str:
        """The same in each attempt, so that a receiver can tell that it has it already: 32 letters and digits."""
        told = f"{self.name} {self.channel} {self.job.get('requested_at')}"
        return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:32]


class Outbox:
    """The outbox below the directory `place`. Raises SpoolError where it cannot be read or written."""

    def __init__(self, place: Path) -> None:
        self._waiting = place / "waiting"
        self._failed = place / "failed"

    def put(self, letter: Letter) -> None:
        """Have it delivered, from now on."""
        self._write(self._waiting / letter.channel / letter.name, letter)

    def due(self, channel: str) -> list[Path]:
        """What is to be delivered by a channel now, what has waited longest first."""
        now = time.time()
        return [path for moment, path in self._listed(self._waiting / channel) if moment <= now]

    def holds(self, channel: str) -> bool:
        """Whether anything waits for a channel, due or not."""
        return bool(self._listed(self._waiting / channel))

    def give_up_all_but(self, channels: Collection[str], reason: str) -> list[Letter]:
        """Give up what waits for any other channel than these; what that was."""
        given_up = []
        for path in self._all(self._waiting):
            if path.parent.name not in channels:
                try:
                    letter = read(path)
                except Unreadable:
                    self.set_aside(path)
                    continue
                self.give_up(path, letter, reason)
                given_up.append(letter)
        return given_up

    def delivered(self, path: Path) -> None:
        """Forget it."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.failed(path, error, "removed") from error

    def postpone(self, path: Path, letter: Letter, reason: str) -> float:
        """Keep it for another attempt; in how many seconds, or 0 where that was the last and it has failed."""
        tried = replace(letter, attempts=letter.attempts + 1, reason=reason)
        if tried.attempts > len(WAITS):
            self.give_up(path, letter, reason)
            return 0
        self._write(path, tried, after=WAITS[letter.attempts])
        return WAITS[letter.attempts]

    def give_up(self, path: Path, letter: Letter, reason: str) -> None:
        """Do not try it again, and keep it."""
        failed = replace(letter, attempts=letter.attempts + 1, reason=reason)
        self._write(self._failed / path.parent.name / path.name, failed)
        self.delivered(path)

    def set_aside(self, path: Path) -> None:
        """Put a file that cannot be read where what has failed is, as it is."""
        target = self._failed / path.parent.name / path.name
        atomic.make_directory(target.parent)
        try:
            path.rename(target)
        except OSError as error:
            raise atomic.failed(target, error) from error

    def try_again(self) -> None:
        """Have everything tried now that has failed or waits. May run beside who delivers."""
        for path in self._all(self._failed):
            try:
                letter = replace(read(path), attempts=0)
            except Unreadable:
                continue
            # Moved, not made anew and removed: it may be given up again meanwhile, under the same name.
            self._write(path, letter)
            target = self._waiting / letter.channel / letter.name
            atomic.make_directory(target.parent)
            try:
                path.rename(target)
            except FileNotFoundError:
                continue  # somebody else did it
            except OSError as error:
                raise atomic.failed(target, error) from error
        for path in self._all(self._waiting):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)

    def waiting(self) -> list[Letter]:
        """What waits, also for channels that there are not any more."""
        return list(_readable(self._all(self._waiting)))

    def failed(self) -> list[tuple[Path, Letter | None]]:
        """What was given up, each with its file; None for what cannot be read."""
        return [(path, next(_readable([path]), None)) for path in self._all(self._failed)]

    def _all(self, top: Path) -> list[Path]:
        channels = sorted(top.iterdir()) if top.is_dir() else []
        return [path for channel in channels for _, path in self._listed(channel)]

    def _listed(self, directory: Path) -> list[tuple[float, Path]]:
        """The files with their times, in their order."""
        found = []
        try:
            with os.scandir(directory) as listing:
                found = [(each.stat().st_mtime, each.name) for each in listing if not atomic.is_stray(each.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise atomic.failed(directory, error, "read") from error
        return [(moment, directory / name) for moment, name in sorted(found)]

    def _write(self, path: Path, letter: Letter, after: float = 0) -> None:
        atomic.make_directory(path.parent)
        atomic.replace(path, json.dumps(asdict(letter)).encode() + b"\n")
        if after:
            moment = time.time() + after
            try:
                # A crash before this only has it tried sooner.
                os.utime(path, (moment, moment))
            except OSError as error:
                raise atomic.failed(path, error) from error


def read(path: Path) -> Letter:
    """What a file of the outbox holds. Raises Unreadable."""
    try:
        letter = Letter(**json.loads(path.read_bytes()))
        if letter.channel != path.parent.name or letter.name != path.name or not isinstance(letter.job, dict):
            raise ValueError("it is not what its name says")
        return letter
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(" ".join(str(error).split())) from error


def _readable(paths: list[Path]) -> Iterator[Letter]:
    for path in paths:
        try:
            yield read(path)
        except Unreadable:
            continue
