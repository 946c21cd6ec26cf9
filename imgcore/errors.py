"""The few kinds of error that reach a person, each with what to do about it and an exit code.

A leaf: standard library only, so that every station (also the one that runs as root) can raise them.
The text is one line that says what was wrong and where; `remedy` says what to do.
"""

from __future__ import annotations

__all__ = ["BuildError", "Cancelled", "ImagerError", "InputError", "SpoolError"]


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
    no-proof, internal.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "", cause: str = "internal") -> None:
        super().__init__(message, remedy)
        self.cause = cause


class Cancelled(ImagerError):
    """Somebody asked for the job to stop."""

    exit_code = 130
