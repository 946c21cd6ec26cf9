# SPDX-License-Identifier: GPL-2.0-or-later
"""What every step of one build shares: the plan, the places, and how to tell a person something.

Steps get a `Build` and nothing global. Errors that come from a kickstart item are made by `Build.error`, so that
each names its line in the same way. Secrets that the plan holds never pass `say`, `warn` or `error`.
"""

from __future__ import annotations

import errno
import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from imgcore.creator.plan import Plan, Workplace
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["ROOT_PATH", "Build", "disk_full"]

#: PATH in the image's root and for what runs beside it.
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Build:
    """One build: what is to be made, where, and who listens."""

    plan: Plan
    place: Workplace
    announce: Callable[[Progress], None]
    #: Hears one line of the log at a time.
    log: Callable[[str], None]
    #: What is worth knowing although the build goes on; ends in result.json.
    warnings: list[str] = field(default_factory=list)
    #: When the build began: whatever is newer was made by it.
    started: float = field(default_factory=time.time)

    def where(self, line: int) -> str:
        """`image.ks, line 12: `, or nothing for what no kickstart line asked for."""
        return f"{self.plan.kickstart}, line {line}: " if line else ""

    def error(self, line: int, message: str, remedy: str = "", cause: str = "unsupported") -> BuildError:
        """An error about the kickstart item at `line`."""
        return BuildError(self.where(line) + self.hide(message), self.hide(remedy), cause)

    def refuse(self, line: int, message: str, remedy: str = "") -> NoReturn:
        """Raise: the item at `line` cannot be carried out in this image."""
        raise self.error(line, message, remedy)

    def warn(self, message: str, line: int = 0) -> None:
        """Note something in the log and in the result."""
        text = self.where(line) + self.hide(message)
        self.warnings.append(text)
        self.log(f"Warning: {text}")

    def say(self, line: str) -> None:
        """One line for the log."""
        self.log(self.hide(line))

    def hide(self, text: str) -> str:
        """`text` without the passwords of repositories and proxies."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    @functools.cached_property
    def _hidden(self) -> frozenset[str]:
        # Once: a script can say many thousand lines.
        return frozenset(_secrets(self.plan))

    def environment(self) -> dict[str, str]:
        """What commands of the build itself get: nothing of the caller's."""
        return {
            "PATH": ROOT_PATH,
            "HOME": str(self.place.home),
            "TMPDIR": str(self.place.tmp),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(self.plan.source_date_epoch),
        }


def disk_full(error: BaseException) -> BuildError | None:
    """The error to tell when `error` (or what it came from) is a file system without space, or None."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" at {os.fsdecode(cause.filename)}" if cause.filename else ""
            return BuildError(f"there is no space left{where}", "free some, or raise [limits] disk", "disk-full")
        if "No space left on device" in str(cause) or "Disk quota exceeded" in str(cause):
            return BuildError(f"there is no space left: {cause}", "free some, or raise [limits] disk", "disk-full")
        cause = cause.__cause__ or cause.__context__
    return None


def _secrets(plan: Plan) -> set[str]:
    secrets = set()
    for repository in plan.repositories:
        secrets.add(repository.proxy_password)
        for url in (repository.url, repository.mirrorlist, repository.proxy, *repository.gpg_keys):
            try:
                password = urlsplit(url).password or ""
            except ValueError:
                continue
            secrets.update((password, unquote(password)))
    # A password of one or two letters would make every message unreadable and still be guessed.
    return {secret for secret in secrets if len(secret) > 2}
