"""The packages' files: used in place where the repository is a directory, otherwise from the shared cache.

    cache/packages/sha256-DIGEST.rpm        complete and verified, put there by a rename
    cache/packages/partial/…                begun; the next attempt goes on from there
    cache/packages/lock                     who is loading what: one byte of it stands for one package

Several jobs may load at the same time: each package is loaded by one of them (a lock on its byte, which the
kernel drops with the process), and the others wait for it and take it. What comes from the cache is checked
against the repository's checksum again: scripts of other jobs can write there.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgcore.creator.build import Build, disk_full
from imgcore.creator.native import library
from imgcore.creator.repositories import Sources
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["fetch"]

_PIECE = 1 << 20


def fetch(build: Build, sources: Sources, packages: Sequence[Any]) -> dict[Any, Path]:
    """Where the file of each of `packages` is. Raises BuildError naming the package that cannot be had."""
    places: dict[Any, Path] = {}
    remote = []
    for package in packages:
        if package.repo._repo.isLocal() and not package.baseurl:
            places[package] = _local(build, sources, package)
        else:
            remote.append(package)
    total = len(remote)
    size = sum(package.downloadsize for package in remote)
    build.announce(Progress("download", 0, total, f"{len(places)} packages are here" if not total else ""))
    if not remote:
        return places
    cache = build.place.cache / "packages"
    (cache / "partial").mkdir(parents=True, exist_ok=True)
    wanted = {package: cache / f"{_name(package)}.rpm" for package in remote}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        good = pool.map(_is_whole, wanted, wanted.values())
        missing = [package for package, whole in zip(list(wanted), good, strict=True) if not whole]
    build.say(f"{total - len(missing)} of {total} packages ({size / 1e6:.1f} MB) are in the cache")
    with _lock_file(cache / "lock") as lock:
        reporter = _Reporter(build, total, total - len(missing))
        while missing:
            mine = [package for package in missing if _try_lock(lock, package)]
            try:
                # Another job may have put it there since we looked.
                needed = [package for package in mine if not _is_whole(package, wanted[package])]
                _load(build, sources, needed, wanted, reporter)
            finally:
                for package in mine:
                    fcntl.lockf(lock, fcntl.LOCK_UN, 1, _byte(package))
            missing = [package for package in missing if package not in mine]
            if missing:
                _wait(build, lock, missing[0])
                missing = [package for package in missing if not _is_whole(package, wanted[package])]
    build.announce(Progress("download", total, total))
    return {**places, **wanted}


def _local(build: Build, sources: Sources, package: Any) -> Path:
    path = Path(package.localPkg())
    if not path.is_file():
        repository = sources.repositories.get(package.repoid)
        raise build.error(
            repository.line if repository else 0,
            f"package {package} is in the metadata of repository {sources.name(package.repoid)}, "
            f"but {path} is not there",
            "create the repository's metadata anew (createrepo_c)",
            "repository-invalid",
        )
    return path


def _checksum(package: Any) -> tuple[str, str]:
    kind, digest = package.returnIdSum()
    return str(kind).lower(), str(digest).lower()


def _name(package: Any) -> str:
    kind, digest = _checksum(package)
    return f"{kind}-{digest}"


def _byte(package: Any) -> int:
    # 60 bits: an offset that a lock may have. Two packages of the same byte only wait for each other.
    return int(hashlib.sha256(_name(package).encode()).hexdigest()[:15], 16)


def _is_whole(package: Any, path: Path) -> bool:
    kind, digest = _checksum(package)
    try:
        if path.stat().st_size != package.downloadsize:
            return False
        with path.open("rb") as file:
            found = hashlib.new(kind, usedforsecurity=False)
            while piece := file.read(_PIECE):
                found.update(piece)
    except (OSError, ValueError):
        return False
    return found.hexdigest() == digest


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(lock: int, package: Any) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(package))
    except BlockingIOError:
        return False
    return True


def _wait(build: Build, lock: int, package: Any) -> None:
    build.say(f"Waiting for another job that loads {package}")
    fcntl.lockf(lock, fcntl.LOCK_EX, 1, _byte(package))
    fcntl.lockf(lock, fcntl.LOCK_UN, 1, _byte(package))


class _Reporter:
    """Counts what has been loaded."""

    def __init__(self, build: Build, total: int, done: int) -> None:
        self.build, self.total, self.done = build, total, done

    def ended(self, package: Any, problem: str | None) -> int:
        """What librepo calls for each package; 0 tells it to go on."""
        if not problem:
            self.done += 1
            self.build.announce(Progress("download", self.done, self.total, str(package)))
        return 0


def _load(
    build: Build, sources: Sources, packages: Sequence[Any], wanted: dict[Any, Path], reporter: _Reporter
) -> None:
    if not packages:
        return
    libdnf = library("libdnf")
    partial = build.place.cache / "packages" / "partial"
    # The callbacks' class has to be made here, where its base is known.
    ended = type(
        "Ended", (libdnf.repo.PackageTargetCB,), {"end": lambda callback, _status, text: callback.tell(text)}
    )
    targets = []
    for package in packages:
        kind, digest = package.returnIdSum()
        callback = ended()
        callback.tell = functools.partial(reporter.ended, package)
        targets.append(
            libdnf.repo.PackageTarget(
                *(package.repo._repo, package.location, str(partial / f"{_name(package)}.rpm")),
                *(libdnf.repo.PackageTarget.checksumType(kind), digest, package.downloadsize),
                *(package.baseurl or "", True, 0, 0, callback),
            )
        )
    failure = ""
    try:
        libdnf.repo.PackageTarget.downloadPackages(libdnf.repo.VectorPPackageTarget(targets), True)
    except RuntimeError as error:
        failure = str(error)
    for package, target in zip(packages, targets, strict=True):
        begun = partial / f"{_name(package)}.rpm"
        told = target.getErr() or ""
        if told and told != "Already downloaded":
            if not told.startswith("Not finished"):
                raise _explain(build, sources, package, told)
        elif begun.exists():
            begun.replace(wanted[package])
    for package in packages:
        if not wanted[package].exists():
            raise _explain(build, sources, package, failure or "the download did not finish")


def _explain(build: Build, sources: Sources, package: Any, reason: str) -> BuildError:
    full = disk_full(RuntimeError(reason))
    if full is not None:
        return full
    repository = sources.repositories.get(package.repoid)
    line = repository.line if repository else 0
    told = f"package {package} cannot be loaded from repository {sources.name(package.repoid)}"
    reason = " ".join(reason.split())
    if "checksum" in reason.lower() or "404" in reason or "416" in reason:
        remedy = "create the repository's metadata anew (createrepo_c), or try again"
        return build.error(line, f"{told}: {reason}", remedy, "repository-invalid")
    return build.error(line, f"{told}: {reason}", "check the network and try again", "repository-unreachable")
