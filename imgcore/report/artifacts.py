# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that a job delivered: in which order they are shown, where they are, what to do with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from imgcore.job import Job
from imgcore.report import howto, text

__all__ = ["ArtifactRow", "address", "rows"]

_KINDS = (
    *("image", "archive", "bmap", "kernel", "initrd", "attachment", "file"),
    *("packages", "manifest", "kickstart", "log"),
)


@dataclass(frozen=True)
class ArtifactRow:
    """A file that the job delivered."""

    name: str
    kind: str
    href: str
    size: str
    exact: str
    sha256: str
    steps: tuple[howto.Step, ...]


def rows(job: Job) -> tuple[ArtifactRow, ...]:
    """The job's artifacts in the order of the page."""
    return tuple(_rows(job))


def _rows(job: Job) -> Iterator[ArtifactRow]:
    names = [str(each.get("name", "")) for each in job.artifacts]
    listed = sorted(zip(job.artifacts, names, strict=True), key=lambda pair: _rank(pair[0]))
    for each, name in listed:
        kind = str(each.get("kind", "") or "file")
        sha256 = str(each.get("sha256", "") or "")
        steps = howto.steps(name, kind, image_type=job.image_type, arch=job.arch, beside=names)
        if steps and sha256:
            steps = (howto.check(name, sha256), *steps)
        length = each.get("size", 0)
        yield ArtifactRow(name, kind, address(job, name), text.size(length), text.bytes_exact(length), sha256, steps)


def _rank(artifact: Mapping[str, object]) -> int:
    """What one came for is first, what was written about it last."""
    kind = artifact.get("kind")
    return _KINDS.index(str(kind) if kind in _KINDS else "file")


def address(job: Job, name: str) -> str:
    """Where the artifact `name` can be had; empty where the record does not say, or says it wrongly."""
    tail = quote(name, errors="replace")
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        return ""
    if job.image_url.endswith(f"/{tail}"):
        return text.link(job.image_url)
    return text.link(f"{job.files_url.rstrip('/')}/{tail}") if job.files_url else ""
