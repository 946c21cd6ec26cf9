# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures: every package of a repository that names a GPG key must be signed with that key.

The keys go into a database of their own, one a repository, which is gone with the build: neither does a key of
one repository vouch for another, nor do the builder's keys reach the image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcore import run
from imgcore.creator.build import Build
from imgcore.creator.packages.repositories import Sources, split_credentials
from imgcore.creator.plan import Repository
from imgcore.errors import BuildError

__all__ = ["check"]

#: Package files a call of rpmkeys, well below what a command line can hold.
_BATCH = 500


def check(build: Build, sources: Sources, files: Mapping[Any, Path]) -> None:
    """Verify the packages in `files` (package → file). Raises BuildError with the cause `signature`."""
    for number, (identifier, repository) in enumerate(sources.repositories.items()):
        mine = {path: package for package, path in files.items() if package.repoid == identifier}
        if not repository.gpg_key or not mine:
            continue
        database = build.place.tmp / f"keys-{number}"
        database.mkdir()
        rpmkeys = [
            *["rpmkeys", "--define", f"_dbpath {database}", "--define", "_keyringpath %{_dbpath}/pubkeys"],
            *["--define", "_pkgverify_level signature", "--define", "_pkgverify_flags 0x0"],
        ]
        _import(build, sources, repository, identifier, rpmkeys, database)
        paths = sorted(mine)
        for start in range(0, len(paths), _BATCH):
            _check(build, repository, rpmkeys, {path: mine[path] for path in paths[start : start + _BATCH]})
        build.say(f"The signatures of {len(mine)} packages of repository {repository.name} are good")


def _import(
    build: Build, sources: Sources, repository: Repository, identifier: str, rpmkeys: list[str], database: Path
) -> None:
    remedy = "correct --gpgkey of the repo line"
    for number, url in enumerate(repository.gpg_keys):
        key = database / f"key-{number}"
        told = f"the GPG key {split_credentials(url)[0]} of repository {repository.name}"
        try:
            if "://" not in url:
                key.write_bytes(Path(url).read_bytes())
            else:
                with key.open("w+b") as file:
                    sources.base.repos[identifier]._repo.downloadUrl(url, file.fileno())
        except (OSError, RuntimeError) as error:
            raise build.error(repository.line, f"{told} cannot be read: {error}", remedy, "signature") from error
        try:
            run.capture([*rpmkeys, "--import", str(key)], environment={**build.environment(), "LC_ALL": "C"})
        except run.CommandFailed as error:
            raise build.error(repository.line, f"{told} is not a key", remedy, "signature") from error


def _check(build: Build, repository: Repository, rpmkeys: list[str], packages: Mapping[Path, Any]) -> None:
    argv = [*rpmkeys, "--checksig", "--verbose", *map(str, packages)]
    lines: list[str] = []
    try:
        run.stream(argv, environment={**build.environment(), "LC_ALL": "C"}, on_line=lines.append)
    except run.CommandFailed as error:
        raise _explain(build, repository, packages, lines) from error


def _explain(build: Build, repository: Repository, packages: Mapping[Path, Any], lines: list[str]) -> BuildError:
    names = {f"{path}:": package for path, package in packages.items()}
    package: Any = None
    signed = False
    for line in [*lines, ""]:
        if line in names or not line:
            if package is not None and not signed:
                return _error(build, repository, package, "is not signed")
            package, signed = names.get(line), False
            continue
        if package is None:
            continue
        verdict = line.rsplit(": ", 1)[-1]
        if "ignature" in line:
            if verdict.startswith("NOKEY"):
                key = re.search(r"key ID ([0-9a-fA-F]+)", line)
                return _error(build, repository, package, f"is signed with another key ({key[1] if key else '?'})")
            signed = signed or verdict.startswith("OK")
        if verdict.startswith("BAD") or verdict.startswith("NOTTRUSTED"):
            return _error(build, repository, package, f"is damaged or forged ({line.strip()})")
        if verdict.startswith("NOTFOUND") and "ignature" in line:
            return _error(build, repository, package, "is not signed")
    return build.error(repository.line, f"the packages of repository {repository.name} cannot be verified: "
                       f"{next((line for line in reversed(lines) if line), 'rpmkeys said nothing')}",
                       "see the log", "signature")  # fmt: skip


def _error(build: Build, repository: Repository, package: Any, what: str) -> BuildError:
    return build.error(
        repository.line,
        f"package {package} of repository {repository.name} {what}",
        "have it signed with the key that --gpgkey names, or correct --gpgkey",
        "signature",
    )
