# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a build failed, in one sentence, from how it ended and what its log says.

A tool of our own tells its error as a line (`imgcore.errors.render`); for any other the last lines are
matched against what tools of the field are known to say. The order of the table is the order of trust.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imgcore.errors import BuildError, Cancelled, parse
from imgcore.executor import Limits, Outcome

__all__ = ["diagnose", "stopped"]

_STOPPED = {
    "time": ("time-out", "the build took longer than its time limit", "raise --timeout, or find out why it is slow"),
    "memory": ("out-of-memory", "the build used more memory than its limit", "raise [limits] memory"),
    "processes": (
        "too-many-processes",
        "the build started more processes than its limit",
        "raise [limits] processes",
    ),
}


@dataclass(frozen=True)
class _Sign:
    pattern: re.Pattern[str]
    cause: str
    #: With {1}, {2}: groups of the pattern.
    sentence: str
    remedy: str = ""


def _sign(pattern: str, cause: str, sentence: str, remedy: str = "") -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), cause, sentence, remedy)


# Strong signs first: a full disk makes all kinds of other complaints follow.
_SIGNS = (
    _sign(r"No space left on device|Disk quota exceeded|need[s]? .*MB? (?:more space )?on the .* filesystem",
          "disk-full", "there was no space left: {0}", "make the partition larger, or raise [limits] disk"),
    _sign(r"Cannot allocate memory|MemoryError|Out of memory", "out-of-memory",
          "there was not enough memory: {0}", "raise [limits] memory"),
    _sign(r"(?:fork|can't start new thread).*(?:Resource temporarily unavailable|retry)|Cannot fork",
          "too-many-processes", "a process could not be started: {0}", "raise [limits] processes"),
    _sign(r"URLGrabber error: (.*)|Could ?n[o']t resolve host:? ?(\S*)|Cannot download repomd\.xml.*",
          "repository-unreachable", "a repository cannot be reached: {0}",
          "check the repo line's URL, the network and the proxy"),
    _sign(r"Valid metadata not found|repomd\.xml.*(?:invalid|parse)", "repository-invalid",
          "a repository's metadata cannot be used: {0}", "try again, or create the repository's metadata anew"),
    _sign(r"Unable to find package: ?(.+)", "package-missing", "package {1} is in none of the repositories",
          "correct its name in %packages, or add the repository that has it"),
    _sign(r"Unable to find group: ?(.+)", "group-missing", "package group {1} is in none of the repositories",
          "correct its name in %packages, or add the repository that has it"),
    _sign(r"found (\d+) resolver problem", "dependency-conflict", "the packages conflict: {1} problem(s) to resolve",
          "see the lines above it in the log"),
    _sign(r"nothing provides (.+?) needed by (\S+)", "dependency-conflict", "nothing provides {1}, needed by {2}"),
    _sign(r"no valid repos? found in ks file", "repository-invalid", "the kickstart has no usable repository",
          "add a `repo` line, or --extra-repo"),
    _sign(r"(?:GPG|PGP).*(?:fail|not (?:trusted|ok)|no ?key)|NOKEY|BAD signature", "signature",
          "a package's signature is not good: {0}"),
    # mic says %pre for every script.
    _sign(r"Failed to execute %\w+ script(.*)", "script-failed", "a script of the kickstart failed{1}",
          "see its output above in the log"),
    _sign(r"root permission is required", "unsupported", "the tool needs to be root", "use --executor sudo"),
    _sign(r"error:? %(?:pre|post|preun|postun|prein|postin)\w*\((\S+)\) scriptlet failed", "scriptlet-failed",
          "a scriptlet of package {1} failed"),
)  # fmt: skip
_ERROR = re.compile(r"^\s*(?:\x1b\[[0-9;]*m)*(?:Error|E)\b\s*(?:<[^>]*>|\w+)?\s*(?:\[[^\]]*\])?\s*:\s*(.+)$")
_LONGEST = 300


def stopped(outcome: Outcome, limits: Limits) -> BuildError | Cancelled:
    """The error of a build that was ended from outside (`outcome.stopped_by`)."""
    if outcome.stopped_by == "cancel":
        return Cancelled("the build was cancelled")
    cause, sentence, remedy = _STOPPED[outcome.stopped_by]
    limit = {"time": f"{limits.seconds:g} s", "memory": f"{limits.memory_bytes >> 20} MiB"}.get(
        outcome.stopped_by, str(limits.processes)
    )
    return BuildError(f"{sentence} of {limit}", remedy, cause)


def diagnose(outcome: Outcome, tail: Sequence[str], tool: str) -> BuildError:
    """The error of a build that ended by itself without an image. Never raises."""
    for line in reversed(tail):
        told = parse(line)
        if told is not None:
            return told
    found = _match(tail)
    if found is not None:
        return found
    if outcome.signal:
        return BuildError(f"{tool} was ended by signal {outcome.signal}", "see the end of the log", "killed")
    if outcome.status == 127:
        return BuildError(f"{tool} could not be started: {_last(tail)}", "`img doctor` says what to install",
                          "tool-missing")  # fmt: skip
    if outcome.status:
        return BuildError(f"{tool} ended with status {outcome.status}: {_last(tail)}", "see the log", "internal")
    return BuildError(
        f"{tool} ended without an error and without its proof of success: {_last(tail)}", "see the log", "no-proof"
    )


def _match(tail: Sequence[str]) -> BuildError | None:
    for sign in _SIGNS:
        for line in reversed(tail):
            match = sign.pattern.search(line)
            if match is not None:
                whole = _cut(_message(line))
                groups = [whole, *(_cut((group or "").strip()) for group in match.groups())]
                return BuildError(sign.sentence.format(*groups), sign.remedy, sign.cause)
    for line in reversed(tail):
        match = _ERROR.match(line)
        if match is not None:
            return BuildError(_cut(match[1]), "see the log", "internal")
    return None


def _message(line: str) -> str:
    match = _ERROR.match(line)
    return (match[1] if match else line).strip()


def _last(tail: Sequence[str]) -> str:
    return _cut(next((line.strip() for line in reversed(tail) if line.strip()), "it said nothing"))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
