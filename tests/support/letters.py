# SPDX-License-Identifier: GPL-2.0-or-later
"""Letters for tests, made of real records; files with a secret; hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcore.job import Status
from imgcore.notify import notice
from imgcore.notify.outbox import Letter
from imgcore.spool import Spool
from tests.support.records import add

__all__ = ["another", "end", "hook", "letter", "secret"]


def end(spool: Spool, image_id: str = "tiny-1", status: Status = Status.DONE, **fields: Any) -> None:
    """A job that has ended; `fields` are those of its request and its result."""
    add(spool, image_id, **{name: fields.pop(name) for name in [*fields] if name in _ASKED})
    with spool.start(image_id, "worker-1") as claim:
        claim.finish(status, fields.get("error", ""), **fields)


_ASKED = ("emails", "tokenmap", "extra_repos", "name", "user")


def letter(spool: Spool, channel: str = "mail", whom: str = "a@example.org", **fields: Any) -> Letter:
    """What a channel gets of a job that has just ended."""
    end(spool, **fields)
    return another(spool, channel, whom)


def another(spool: Spool, channel: str, whom: str) -> Letter:
    """Another letter of that job."""
    job = notice.of(spool, "tiny-1", 3)
    assert job is not None
    return Letter("tiny-1", 3, channel, whom, job)


def secret(place: Path, text: str, mode: int = 0o600) -> Path:
    """A file with a secret."""
    path = place / "secret"
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


def hook(directory: Path, text: str, name: str = "one", mode: int = 0o755) -> Path:
    """A shell script in a directory of hooks."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path
