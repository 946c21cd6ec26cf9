# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts the plan's packages into the root tree: repositories, choice, files, signatures, installation.

Each step is a module of its own; here is their order, and what the image's manifest says of the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imgcore.creator.build import Build
from imgcore.creator.packages import downloads, repositories, rpmdb, selection, signatures, transaction
from imgcore.creator.tree import Tree
from imgcore.progress import Progress

__all__ = ["Installed", "Package", "install"]

#: Where packages of %prepackages are registered, to be forgotten: they are installed properly afterwards.
_FIRST_DATABASE = "/.imager-first"


@dataclass(frozen=True)
class Package:
    """A line of the manifest."""

    name: str
    epoch: str
    version: str
    release: str
    arch: str
    repository: str


@dataclass(frozen=True)
class Installed:
    """What was installed: the manifest, the files of each package (image paths), and rpm's database path."""

    manifest: tuple[Package, ...]
    files: dict[str, tuple[str, ...]]
    database: str


def install(build: Build, tree: Tree) -> Installed:
    """Install everything that the plan's %packages asks for. Raises BuildError."""
    sources = repositories.load(build)
    chosen = selection.resolve(build, sources)
    places = downloads.fetch(build, sources, chosen.packages)
    signatures.check(build, sources, places)
    manifest = [_package(package, sources) for package in chosen.packages]
    headers = transaction.read_headers(build, (places[package] for package in chosen.packages))
    by_label = {str(package): header for package, header in zip(chosen.packages, headers, strict=True)}
    first = [by_label[str(package)] for package in chosen.first]
    database = rpmdb.database_path(build, (header.header for header in headers))
    # What dnf holds can be a few hundred megabytes; rpm does not need it.
    sources.base.close()
    del sources, chosen, places
    build.announce(Progress("install", 0, len(headers)))
    if first:
        transaction.install(build, first, _FIRST_DATABASE, scriptlets=False, phase="first")
        shutil.rmtree(tree.real(_FIRST_DATABASE, follow=False), ignore_errors=True)
    if headers:
        transaction.install(build, headers, database)
        _finish_mount_points(tree, headers)
        _remove_unowned(tree, transaction.SCRATCH, headers)
    files = {header.header["name"]: tuple(_paths(header.header)) for header in headers}
    return Installed(tuple(manifest), files, database)


def _package(package: Any, sources: repositories.Sources) -> Package:
    return Package(
        name=package.name,
        epoch=str(package.epoch) if package.epoch else "",
        version=package.version,
        release=package.release,
        arch=package.arch,
        repository=sources.name(package.repoid),
    )


def _paths(header: Any) -> Sequence[str]:
    return [_text(path) for path in header["filenames"]]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _finish_mount_points(tree: Tree, headers: Sequence[transaction.Header]) -> None:
    """Give /proc, /sys and /dev the modes that their package wants: rpm saw only what was mounted there."""
    for header in headers:
        for path, mode in zip(_paths(header.header), header.header["filemodes"], strict=True):
            if path in transaction.MOUNTED:
                real = tree.real(path, follow=False)
                if real.is_dir():
                    real.chmod(mode & 0o7777)


def _remove_unowned(tree: Tree, path: str, headers: Sequence[transaction.Header]) -> None:
    """Remove a directory that only rpm needed, where it is empty and belongs to no package."""
    if any(path in _paths(header.header) for header in headers):
        return
    real = tree.real(path, follow=False)
    if real.is_dir() and not real.is_symlink() and not any(real.iterdir()):
        real.rmdir()
