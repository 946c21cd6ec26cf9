# SPDX-License-Identifier: GPL-2.0-or-later
"""The few kinds of error that reach a person, each with what to do about it and an exit code.

A leaf: standard library only, so that every station (also the one that runs as root) can raise them.
The text is one line that says what was wrong and where; `remedy` says what to do.
"""

from __future__ import annotations

import json

__all__ = ["BuildError", "Cancelled", "ImagerError", "InputError", "SpoolError", "parse", "render"]

_MARK = "[imager error] "


class ImagerError(Exception):
    """Something a person can read and act on. `exit_code` is what a command ends with."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class InputError(ImagerError):
    """What was given cannot be used: a bad name, option, kickstart or configuration."""

    exit_code = 2


class SpoolError(ImagerError):
    """The spool could not be read or written: full, read-only, wrong owner, damaged."""

    exit_code = 1


class BuildError(ImagerError):
    """The build was started and failed. `cause` is a short slug that failures are grouped by.

    Causes: repository-unreachable, repository-invalid, package-missing, group-missing,
    dependency-conflict, signature, script-failed, scriptlet-failed, disk-full, image-too-small,
    out-of-memory, too-many-processes, time-out, killed, tool-missing, unsupported, boot-loader,
    no-proof, sandbox, internal.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "", cause: str = "internal") -> None:
        super().__init__(message, remedy)
        self.cause = cause


class Cancelled(ImagerError):
    """Somebody asked for the job to stop."""

    exit_code = 130


def render(error: BuildError) -> str:
    """The log line by which a tool inside the sandbox tells its error; `parse` reads it."""
    return _MARK + json.dumps({"cause": error.cause, "message": error.message, "remedy": error.remedy})


def parse(line: str) -> BuildError | None:
    """The error that `line` tells, or None for any other line."""
    if not line.startswith(_MARK):
        return None
    try:
        told = json.loads(line.removeprefix(_MARK))
        return BuildError(str(told["message"]), str(told["remedy"]), str(told["cause"]))
    except (ValueError, KeyError, TypeError):
        return None
