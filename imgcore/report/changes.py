# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between two jobs: their requests, their kickstarts line by line, their packages.

Both sides are masked before they are compared, so a difference shows no secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.credentials import masked, names_secret
from imgcore.errors import ImagerError
from imgcore.job import Job
from imgcore.jobs import manifest
from imgcore.report import kickstart
from imgcore.report.row import Row
from imgcore.report.text import MASK
from imgcore.spool import Spool

__all__ = [
    "Changes", "DiffLine", "PackageChange", "between", "built", "built_path", "hide", "lines", "packages", "since",
]  # fmt: skip

SHOWN = 400
#: So many lines from the first that differs are compared one by one.
_COMPARED = 2000
_CONTEXT = 2
_LINE_NUMBER = re.compile(r"(?<=[-+])\d+")
_ASKED = (
    ("Tool", "tool"), ("Executor", "executor"), ("Packages added", "packages"), ("Groups added", "groups"),
    ("Extra repositories", "extra_repos"), ("Options", "extra_opts"),
)  # fmt: skip


@dataclass(frozen=True)
class DiffLine:
    """A line of a difference; `kind` is `add`, `del`, `hunk` or empty."""

    kind: str
    text: str


@dataclass(frozen=True)
class PackageChange:
    """A package whose versions differ; an empty side has not got it."""

    name: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        return ("changed" if self.after else "removed") if self.before else "added"


@dataclass(frozen=True)
class Changes:
    """All that differs; `packages` is None where one of the two has no list of packages that can be read."""

    asked: tuple[tuple[str, str, str], ...]
    kickstart: tuple[DiffLine, ...]
    packages: tuple[PackageChange, ...] | None


def since(spool: Spool, before: Row, job: Job) -> Changes | None:
    """What differs from an earlier job to this one; None where that one cannot be read any more."""
    try:
        earlier = spool.read(before.image_id)
    except ImagerError:
        return None
    return between(earlier, job, [kickstart.requested(spool, each.image_id) for each in (earlier, job)])


def built_path(directory: str, name: str) -> Path | None:
    """Where the kickstart that was built is; None where the record names no place for it."""
    listed = manifest.path_of(directory, name)
    return None if listed is None else listed.with_name(f"{name}.ks")


def built(job: Job, requested: kickstart.Kickstart | None) -> tuple[DiffLine, ...] | None:
    """From the kickstart as requested to the one that was built; None where either is gone."""
    path = built_path(job.directory, job.name)
    found = kickstart.read(path) if path else None
    return lines(requested, found) if requested and found else None


def between(before: Job, after: Job, kickstarts: Sequence[kickstart.Kickstart | None]) -> Changes:
    """What differs from `before` to `after`, whose requested kickstarts are given."""
    old, new = (manifest.of(each) for each in (before, after))
    return Changes(
        asked=tuple(requests(before, after)),
        kickstart=lines(*kickstarts),
        packages=packages(old, new) if old and new and old.whole and new.whole else None,
    )


def requests(before: Job, after: Job) -> Iterator[tuple[str, str, str]]:
    """What was asked differently: a label and both sides."""
    for label, name in _ASKED:
        old, new = (_text(getattr(each, name)) for each in (before, after))
        if old != new:
            yield label, old, new
    for key in dict.fromkeys((*before.tokenmap, *after.tokenmap)):
        old, new = (hide(key, str(each.tokenmap.get(key, ""))) for each in (before, after))
        if before.tokenmap.get(key) != after.tokenmap.get(key):
            yield f"Token {key}", old, new


def hide(key: str, value: str) -> str:
    """`value`, masked where `key` is the name of a secret."""
    return MASK if value and names_secret(key) else value


def lines(before: kickstart.Kickstart | None, after: kickstart.Kickstart | None) -> tuple[DiffLine, ...]:
    """The unified difference of two kickstarts, its first lines; what cannot be compared is said as a difference."""
    if before is None or after is None:
        which = "both" if before is after else "the first" if before is None else "the second"
        return (DiffLine("hunk", f"… not compared: the kickstart of {which} is gone"),)
    found = list(_differing(before.raw, after.raw))
    if len(found) > SHOWN:
        found[SHOWN:] = [DiffLine("hunk", "… and more")]
    if before.cut or after.cut:
        found.append(DiffLine("hunk", f"… not compared: what is behind {kickstart.LARGEST >> 20} MiB"))
    return tuple(found)


def _differing(before: Sequence[str], after: Sequence[str]) -> Iterator[DiffLine]:
    if before == after:
        return
    old, new = ([_masked(kickstart.mask(each)) for each in side] for side in (before, after))
    if old == new:
        return
    # Without what is the same at both ends, however long that is.
    shorter = min(len(old), len(new))
    first = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    same = next((at for at in range(shorter - first) if old[-1 - at] != new[-1 - at]), shorter - first)
    start, kept = max(0, first - _CONTEXT), max(0, same - _CONTEXT)
    old, new = (side[start : len(side) - kept] for side in (old, new))
    compared = difflib.unified_diff(old[:_COMPARED], new[:_COMPARED], lineterm="", n=_CONTEXT)
    for text in list(compared)[2:]:
        kind = {"+": "add", "-": "del", "@": "hunk"}.get(text[:1], "")
        if kind == "hunk":
            text = _LINE_NUMBER.sub(lambda number: str(int(number[0]) + start), text)
        yield DiffLine(kind, _cut(text))
    if max(len(old), len(new)) > _COMPARED:
        yield DiffLine("hunk", "… and more")


def _cut(text: str) -> str:
    widest = kickstart.WIDEST
    return text if len(text) <= widest else f"{text[:widest]}… ({len(text) - 1:,} characters)"


def packages(before: manifest.Manifest, after: manifest.Manifest) -> tuple[PackageChange, ...]:
    """The packages that came, went or have another version, by name."""
    old, new = _versions(before), _versions(after)
    keys = sorted(old.keys() | new.keys())
    return tuple(
        PackageChange(name, old.get(name, ""), new.get(name, "")) for name in keys if old.get(name) != new.get(name)
    )


def _versions(listed: manifest.Manifest) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for each in listed.packages:
        found.setdefault(f"{each.name}.{each.arch}" if each.arch else each.name, []).append(each.version)
    return {name: ", ".join(sorted(versions)) or "?" for name, versions in found.items()}


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _masked(text: str) -> str:
    """As one of the two that mask: what the worker wrote has its mask, and its way with URLs."""
    return masked(text, MASK)
