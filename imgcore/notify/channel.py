# SPDX-License-Identifier: GPL-2.0-or-later
"""What a way to tell others is: a name, whom it tells of a job, and telling one of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from imgcore.notify.outbox import Letter

__all__ = ["Channel", "NotDelivered", "secret"]

_MOST_BYTES = 4096


class NotDelivered(Exception):
    """Why it was not; `final` where another attempt would end the same way."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Channel(Protocol):
    """One way to tell others."""

    @property
    def name(self) -> str:
        """A file name that no other channel has."""

    def whom(self, job: Mapping[str, Any]) -> Sequence[str]:
        """Who is to be told of the job."""

    def deliver(self, letter: Letter, log: Callable[[str], None]) -> None:
        """Tell one of them, within a time of its own. Raises NotDelivered. `log` takes what was said on the way."""


def secret(path: Path) -> bytes:
    """The one line in a file that only its owner can read. Raises NotDelivered."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_BYTES + 1).strip()
    except OSError as error:
        raise NotDelivered(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise NotDelivered(f"{path} can be read by others than its owner: chmod 600 it")
    if not content or b"\n" in content or len(content) > _MOST_BYTES:
        raise NotDelivered(f"{path} has to be one line")
    return content
