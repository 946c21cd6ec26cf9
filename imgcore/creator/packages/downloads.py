# SPDX-License-Identifier: GPL-2.0-or-later
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
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from imgcore.creator.build import Build, disk_full
from imgcore.creator.native import library
from imgcore.creator.packages.repositories import Sources
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["fetch"]

_PIECE = 1 << 20
#: librepo's mark on a file that it has begun.
_MARK = "user.Librepo.DownloadInProgress"


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
        done = itertools.count(total - len(missing) + 1)

        def count(package: Any) -> None:
            build.announce(Progress("download", next(done), total, str(package)))

        while missing:
            mine = [package for package in missing if _try_lock(lock, package)]
            try:
                # Another job may have put it there since we looked.
                needed = [package for package in mine if not _is_whole(package, wanted[package])]
                _load(build, sources, needed, wanted, count)
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


class _Transfer:
    """One package on its way. librepo forgets a broken transfer's data: `failed` saves it first, for the next try."""

    def __init__(self, package: Any, goal: Path, count: Callable[[Any], None]) -> None:
        self.package, self.goal, self.count = package, goal, count
        self.partial = goal.parent / "partial" / goal.name
        self.saved = self.partial.with_suffix(".saved")
        self.reason = ""

    def ended(self, problem: str | None) -> int:
        """Called by librepo at the end of the transfer; 0 tells it to go on."""
        if not problem:
            self.count(self.package)
        return 0

    def failed(self, reason: str) -> int:
        """Called by librepo for each mirror that failed, while what it sent is still there."""
        self.reason = reason
        if "Curl error" in reason and _size(self.partial) > _size(self.saved):
            shutil.copyfile(self.partial, self.saved)
        return 0

    def prepare(self) -> None:
        """Put what an earlier try saved where librepo goes on from."""
        if _size(self.saved) > _size(self.partial):
            self.saved.replace(self.partial)
            # librepo only goes on with what bears its mark; file systems without marks start anew.
            with suppress(OSError):
                os.setxattr(self.partial, _MARK, b"")
        self.saved.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Forget data that turned out to be wrong."""
        self.partial.unlink(missing_ok=True)
        self.saved.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _load(build: Build, sources: Sources, packages: Sequence[Any], wanted: dict[Any, Path],
          count: Callable[[Any], None]) -> None:  # fmt: skip
    """Load the packages, again as long as each try brings more of what is missing."""
    transfers = [_Transfer(package, wanted[package], count) for package in packages]
    before = -1
    while transfers:
        for transfer in transfers:
            transfer.prepare()
        had = sum(_size(transfer.partial) for transfer in transfers)
        failure = _try(transfers)
        transfers = [transfer for transfer in transfers if not transfer.goal.exists()]
        if not transfers:
            return
        wrong = [transfer for transfer in transfers if "hecksum" in transfer.reason]
        for transfer in wrong:
            transfer.give_up()
        have = sum(max(_size(transfer.partial), _size(transfer.saved)) for transfer in transfers)
        if have <= before or (have <= had and not (wrong and had)):
            failed = next((transfer for transfer in transfers if transfer.reason), transfers[0])
            for transfer in transfers:
                transfer.prepare()
            raise _explain(build, sources, failed.package, failed.reason or failure or "the download did not finish")
        before = have
        build.say(f"{len(transfers)} packages are not complete: trying again ({transfers[0].reason})")


def _try(transfers: Sequence[_Transfer]) -> str:
    """Let librepo load all it can, several at a time; what is complete gets its name. Returns what failed."""
    libdnf = library("libdnf")
    # The class has to be made here, where its base is known.
    callback = type(
        "Callback",
        (libdnf.repo.PackageTargetCB,),
        {
            "end": lambda told, _status, text: told.transfer.ended(text),
            "mirrorFailure": lambda told, text, _url: told.transfer.failed(text),
        },
    )
    # A target does not hold its callback, which must live as long.
    targets, callbacks = [], []
    for transfer in transfers:
        package = transfer.package
        told = callback()
        told.transfer = transfer
        callbacks.append(told)
        kind, digest = package.returnIdSum()
        targets.append(
            libdnf.repo.PackageTarget(
                *(package.repo._repo, package.location, str(transfer.partial)),
                *(libdnf.repo.PackageTarget.checksumType(kind), digest, package.downloadsize),
                *(package.baseurl or None, True, 0, 0, told),
            )
        )
    failure = ""
    try:
        libdnf.repo.PackageTarget.downloadPackages(libdnf.repo.VectorPPackageTarget(targets), True)
    except RuntimeError as error:
        failure = str(error)
    for transfer, target in zip(transfers, targets, strict=True):
        problem = target.getErr()
        if transfer.partial.exists() and (not problem or problem == "Already downloaded"):
            transfer.partial.replace(transfer.goal)
    return failure


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
