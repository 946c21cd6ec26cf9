# SPDX-License-Identifier: GPL-2.0-or-later
"""What a participant has promised: deliveries that it accepted, messages that it has still to send.

On disk below one directory, a file each, for people to look at with `ls` and `jq`:

    inbox/STEP.json             a delivery, as it came: accepted, not yet answered
    inbox/STEP.offered          spooled, but another participant may have been given it too
    outbox/NUMBER@QUEUE@STEP.json   to be sent, in this order; STEP is empty for what answers no delivery
    done/STEP.json              what a step was answered, kept for a redelivery; STEP.none: nothing
    refused/TIME.body, .json    a message that could not be used, and why

An inbox entry is on disk when `accept` returns and stands until the answer is confirmed, so that an answer which a
power failure takes is made again. What `post` is given is on disk too. One process has a journal at a time.
`Memory` has the same methods, keeps nothing, and lets deliveries be acknowledged only when they are answered.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["Answer", "Entry", "Journal", "JournalError", "Letter", "Memory", "open_free", "step_name"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!-]{0,150}")
# Answers that are remembered in memory: at most one delivery a connection can be in doubt.
_REMEMBERED = 8
# Answers on disk: far longer and more than a broker takes to deliver again what it was not told of.
_KEEP_DONE, _MOST_DONE = 2 * 86400.0, 10_000
# Refused messages, for a person to look at; of a very long one its beginning.
_KEEP_REFUSED, _MOST_REFUSED = 90 * 86400.0, 1000
_REFUSED_BYTES = 1 << 20


class JournalError(RuntimeError):
    """The directory cannot be used, or another process uses it; the text says which and why."""


@dataclass(frozen=True)
class Entry:
    """An accepted delivery. `offered`: perhaps somebody else was given it too."""

    step: str
    body: bytes
    offered: bool = False


@dataclass(frozen=True)
class Answer:
    """What a step was answered; None: no reply was wanted."""

    body: bytes | None


@dataclass(eq=False)
class Letter:
    """A message on its way to a queue; `step` is what it answers, if it answers a delivery."""

    queue: str
    body: bytes
    step: str = ""
    path: Path | None = None
    sent: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


def step_name(wfid: str, subid: str, expid: str) -> str:
    """What recognises a step, fit for a file's name; "" where the engine named none."""
    if not wfid or not expid:
        return ""
    plain = f"{wfid}!{subid}!{expid}"
    if _PLAIN.fullmatch(plain):
        return plain
    from hashlib import sha256

    return sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


class Memory:
    """A journal without a disk."""

    durable = False

    def __init__(self) -> None:
        #: Tells the holders of claims apart; at most 31 bits.
        self.owner = secrets.randbelow(2**31 - 1) + 1
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def accept(self, step: str, body: bytes, *, offered: bool = False) -> None:
        """Keep a delivery."""

    def own(self, step: str) -> None:
        """Nobody else has the delivery."""

    def forget(self, step: str) -> None:
        """Somebody else has the delivery."""

    def entries(self) -> list[Entry]:
        """What was accepted and not answered, oldest first."""
        return []

    def answer(self, step: str, queue: str, body: bytes) -> Letter:
        """Keep the answer to a delivery until it is sent."""
        return Letter(queue, body, step)

    def post(self, queue: str, body: bytes) -> Letter:
        """Keep a message until it is sent."""
        return Letter(queue, body)

    def letters(self) -> list[Letter]:
        """What is still to be sent, in order."""
        return []

    def settled(self, step: str, body: bytes | None) -> None:
        """The step is over: its answer is confirmed, or (None) none was wanted."""
        self._answers[step] = Answer(body)
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    def sent(self, letter: Letter) -> None:
        """The broker has confirmed the letter."""
        if letter.step:
            self.settled(letter.step, letter.body)

    def answered(self, step: str) -> Answer | None:
        """What the step was answered, if it was."""
        return self._answers.get(step)

    def refuse(self, body: bytes, reason: str) -> None:
        """Keep a message that cannot be used."""

    def prune(self) -> None:
        """Forget what is old."""

    def close(self) -> None:
        """Let the journal go."""


class Journal(Memory):
    """The journal below `root`. Raises JournalError where that cannot be used or another process uses it."""

    durable = True

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._guard = threading.Lock()
        self._inbox, self._outbox, self._done, self._refused = (
            root / name for name in ("inbox", "outbox", "done", "refused")
        )
        try:
            for place in (self._inbox, self._outbox, self._done, self._refused):
                place.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.owner = self._own_number()
                # Only now: before, what is half written could be somebody's.
                self._number = max([_number(path) for path in self._outbox.iterdir()], default=0)
                self.prune()
            except BaseException:
                os.close(self._lock)
                raise
        except BlockingIOError as error:
            raise JournalError(f"{root} is used by another process") from error
        except OSError as error:
            raise JournalError(f"{root} cannot be used: {error.strerror or error}") from error

    def close(self) -> None:
        """Let the journal go. Can be repeated."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def accept(self, step: str, body: bytes, *, offered: bool = False) -> None:
        """Put a delivery into the inbox; it is on disk when this returns. Raises OSError."""
        self._write(self._inbox / f"{step}{_end(offered)}", body, sync=True)

    def own(self, step: str) -> None:
        """Nobody else has the delivery."""
        (self._inbox / f"{step}.offered").rename(self._inbox / f"{step}.json")

    def forget(self, step: str) -> None:
        """Somebody else has the delivery."""
        for end in ("offered", "json"):
            (self._inbox / f"{step}.{end}").unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """What was accepted and not answered, oldest first."""
        on_the_way = {letter.step for letter in self.letters()}
        found = []
        for path in _by_age(self._inbox):
            step, _, end = path.name.rpartition(".")
            if end not in ("json", "offered") or not step or step in on_the_way:
                continue
            body = path.read_bytes()
            if _whole(body):
                found.append(Entry(step, body, end == "offered"))
            else:
                # It was not acknowledged: the broker has it still.
                path.unlink()
        return found

    def answer(self, step: str, queue: str, body: bytes) -> Letter:
        """Put the answer to a delivery into the outbox, or on a disk that is full, keep it in memory."""
        try:
            # Not synced: until it is confirmed, the delivery stands beside it.
            return self._letter(queue, body, step, sync=False)
        except OSError:
            return Letter(queue, body, step)

    def post(self, queue: str, body: bytes) -> Letter:
        """Put a message into the outbox; it is on disk when this returns. Raises OSError."""
        return self._letter(queue, body, "", sync=True)

    def letters(self) -> list[Letter]:
        """What is still to be sent, in order."""
        with self._guard:
            return list(self._whole_letters())

    def _whole_letters(self) -> Iterator[Letter]:
        for path in sorted(self._outbox.iterdir()):
            parts = path.name.removesuffix(".json").split("@")
            if len(parts) != 3 or not path.name.endswith(".json"):
                continue
            body = path.read_bytes()
            if _whole(body):
                yield Letter(unquote(parts[1]), body, parts[2], path)
            else:
                # An answer that a crash cut short; the delivery is still there, and is answered anew.
                path.unlink()

    def settled(self, step: str, body: bytes | None) -> None:
        """The step is over: its answer is confirmed, or (None) none was wanted."""
        if body is None:
            (self._done / f"{step}.none").touch()
            self.forget(step)

    def sent(self, letter: Letter) -> None:
        """The broker has confirmed the letter."""
        if letter.step:
            if letter.path is not None:
                letter.path.rename(self._done / f"{letter.step}.json")
            self.forget(letter.step)
        elif letter.path is not None:
            letter.path.unlink(missing_ok=True)

    def answered(self, step: str) -> Answer | None:
        """What the step was answered, if it was."""
        with suppress(FileNotFoundError):
            body = (self._done / f"{step}.json").read_bytes()
            return Answer(body) if _whole(body) else None
        return Answer(None) if (self._done / f"{step}.none").exists() else None

    def refuse(self, body: bytes, reason: str) -> None:
        """Keep a message that cannot be used, beside its reason. Raises OSError."""
        stem = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self._write(self._refused / f"{stem}.body", body[:_REFUSED_BYTES], sync=True)
        told = {"reason": reason, "bytes": len(body), "received": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        self._write(self._refused / f"{stem}.json", json.dumps(told).encode(), sync=True)
        _prune(self._refused, 2 * _MOST_REFUSED, _KEEP_REFUSED)

    def _letter(self, queue: str, body: bytes, step: str, *, sync: bool) -> Letter:
        with self._guard:
            self._number = max(self._number + 1, time.time_ns())
            path = self._outbox / f"{self._number:020d}@{quote(queue, safe='')}@{step}.json"
            self._write(path, body, sync=sync)
        return Letter(queue, body, step, path)

    def _write(self, path: Path, body: bytes, *, sync: bool) -> None:
        # In place: a rename would cost the file system a second commit. What a crash cut short was not promised yet,
        # and is known by not being whole.
        try:
            with path.open("wb") as file:
                file.write(body)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            if sync:
                _sync(path.parent)
        except OSError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def _own_number(self) -> int:
        # Kept: a claim that was made before a restart is still ours.
        path = self.root / "owner"
        with suppress(OSError, ValueError):
            return int(path.read_text())
        self._write(path, str(self.owner).encode(), sync=True)
        return self.owner

    def waits(self) -> bool:
        """Whether something was accepted and not answered, or is to be sent."""
        return any(True for place in (self._inbox, self._outbox) for _ in place.iterdir())

    def prune(self) -> None:
        """Forget answers and refused messages that are old. Raises OSError."""
        _prune(self._done, _MOST_DONE, _KEEP_DONE)
        _prune(self._refused, 2 * _MOST_REFUSED, _KEEP_REFUSED)


def open_free(root: Path) -> Journal:
    """A journal of `root`, `root.2`, `root.3` … that no process has: for several processes of one name.

    The first in which something waits, so that what another process has left is gone on with; else the first.
    """
    free: list[Journal] = []
    for number in range(1, 1000):
        place = root if number == 1 else root.with_name(f"{root.name}.{number}")
        if free and not place.is_dir():
            break
        with suppress(_Used):
            free.append(_open(place))
    if not free:
        raise JournalError(f"{root} and its successors are all in use")
    chosen = next((journal for journal in free if journal.waits()), free[0])
    for journal in free:
        if journal is not chosen:
            journal.close()
    return chosen


class _Used(Exception):
    pass


def _open(root: Path) -> Journal:
    try:
        return Journal(root)
    except JournalError as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise _Used from None
        raise


def _end(offered: bool) -> str:
    return ".offered" if offered else ".json"


def _number(path: Path) -> int:
    first = path.name.partition("@")[0]
    return int(first) if first.isdecimal() else 0


def _whole(body: bytes) -> bool:
    # What travels is a JSON object; a crash leaves nothing, zeros or a beginning. Numbers as text: any are good.
    try:
        return isinstance(json.loads(body, parse_int=str, parse_float=str), dict)
    except (ValueError, RecursionError):
        return False


def _prune(place: Path, most: int, keep: float) -> None:
    """Remove what is older than `keep` seconds, and all but the newest `most`."""
    oldest = time.time() - keep
    dated = _by_age(place)
    for number, path in enumerate(dated, most - len(dated)):
        with suppress(FileNotFoundError):
            if number < 0 or path.stat().st_mtime < oldest:
                path.unlink()


def _by_age(place: Path) -> list[Path]:
    return sorted(_dated(place), key=lambda path: path.stat().st_mtime_ns)


def _dated(place: Path) -> Iterator[Path]:
    return (path for path in place.iterdir() if not path.name.startswith("."))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
