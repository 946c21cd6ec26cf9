# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of an image, from the manifest that its job published.

The file is `NAME.manifest.json` in the job's directory. It is somebody's output: what does not have its form is
left out or said, never an error of the page.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from imgcore.job import Job

__all__ = ["Manifest", "Package", "of", "path_of", "read"]

LARGEST = 32 * 2**20
SHOWN = 5000


@dataclass(frozen=True)
class Package:
    """A row of the table; what the tool did not tell is empty."""

    name: str
    version: str
    arch: str
    repository: str


@dataclass(frozen=True)
class Manifest:
    """The packages (the first ones of very many), or why there are none to show."""

    packages: tuple[Package, ...] = ()
    total: int = 0
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether all packages are here."""
        return not self.problem and len(self.packages) == self.total


def path_of(directory: str, name: str) -> Path | None:
    """Where the manifest of the image `name` is; None where the record names no place for it."""
    if not directory.startswith("/") or not name or "/" in name or "\0" in directory + name:
        return None
    return Path(directory) / f"{name}.manifest.json"


def of(job: Job) -> Manifest | None:
    """The manifest that the job published; None where there is none."""
    path = path_of(job.directory, job.name)
    return read(path) if path is not None and os.path.isfile(path) else None  # noqa: PTH113 - never raises


def read(path: Path) -> Manifest:
    """The manifest at `path`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Manifest(problem=f"the manifest cannot be read: {reason}")
    if len(content) > LARGEST:
        return Manifest(problem="the manifest is too long to be shown")
    try:
        listed = json.loads(content)["packages"]
        if not isinstance(listed, list):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        return Manifest(problem="the manifest is damaged")
    packages = [_package(each) for each in listed[:SHOWN] if isinstance(each, dict)]
    packages.sort(key=lambda each: (each.name.casefold(), each.name, each.version, each.arch))
    return Manifest(tuple(packages), len(listed))


def _package(told: dict[str, object]) -> Package:
    def text(key: str) -> str:
        value = told.get(key)
        return "" if value is None or isinstance(value, dict | list) else str(value)[:300]

    version = "-".join(part for part in (text("version"), text("release")) if part)
    epoch = text("epoch")
    if epoch not in ("", "0", "(none)"):
        version = f"{epoch}:{version}"
    return Package(text("name"), version, text("arch"), text("repository"))
