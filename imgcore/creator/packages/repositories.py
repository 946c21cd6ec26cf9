# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan's repositories as dnf knows them, with what went wrong said in one sentence.

Metadata lives in the cache that jobs share, under an identifier made of name and URL, and is looked after under
a `flock` for each repository: dnf's own locks are files with process numbers, which mean nothing in the PID
namespace of another job. Every build asks the repository whether its metadata is still current.
User names and passwords are taken out of URLs before dnf sees them, so that no message can show them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from imgcore.creator.build import Build, disk_full
from imgcore.creator.native import library
from imgcore.creator.plan import Repository
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["Sources", "load", "save", "split_credentials"]

#: Seconds without an answer, and below 1000 bytes a second, after which a server counts as unreachable.
_PATIENCE = 30
_RETRIES = 3


@dataclass(frozen=True)
class Sources:
    """Loaded repositories: dnf's `base` with a filled sack, and which plan's repository each identifier is."""

    base: Any
    repositories: dict[str, Repository] = field(default_factory=dict)

    def name(self, identifier: str) -> str:
        """What the kickstart calls the repository."""
        repository = self.repositories.get(identifier)
        return repository.name if repository else identifier


def load(build: Build) -> Sources:
    """Fetch and read the metadata of all repositories. Raises BuildError naming the one that fails."""
    plan = build.plan
    if not plan.repositories:
        raise BuildError(
            f"{plan.kickstart} has no repository", "add a `repo` line, or --extra-repo", "repository-invalid"
        )
    base = _base(build)
    sources = Sources(base)
    for repository in plan.repositories:
        identifier = _identifier(repository)
        # The same line twice is no harm.
        sources.repositories.setdefault(identifier, repository)
    metadata = Path(base.conf.cachedir)
    metadata.mkdir(parents=True, exist_ok=True)
    base._sack = library("dnf.sack")._build_sack(base)
    total = len(sources.repositories)
    for done, (identifier, repository) in enumerate(sources.repositories.items()):
        build.announce(Progress("repositories", done, total, repository.name))
        known = _configure(build, base, identifier, repository)
        with _locked(metadata / f"{identifier}.lock"):
            _load(build, base, known, repository)
    base._sack._configure(base.conf.installonlypkgs, base.conf.installonly_limit)
    base.conf.excludepkgs = [item.name for item in plan.packages.excluded if not item.name.startswith("@")]
    base._setup_excludes_includes()
    base._goal = library("dnf.goal").Goal(base._sack)
    build.announce(Progress("repositories", total, total))
    return sources


def _base(build: Build) -> Any:
    dnf = library("dnf")
    plan, place = build.plan, build.place
    conf = dnf.conf.Conf()
    private = place.tmp / "dnf"
    private.mkdir(parents=True, exist_ok=True)
    conf.cachedir = str(place.cache / "metadata")
    conf.persistdir = conf.logdir = str(private)
    conf.installroot = str(place.root)
    conf.reposdir = []
    conf.plugins = False
    conf.installonlypkgs = []
    conf.installonly_limit = 0
    conf.ignorearch = True
    conf.substitutions["arch"] = plan.arch
    try:
        conf.substitutions["basearch"] = library("dnf.rpm").basearch(plan.arch)
    except KeyError:
        raise BuildError(
            f"architecture {plan.arch} is not one that packages are built for", "see --arch", "unsupported"
        ) from None
    if plan.release:
        conf.substitutions["releasever"] = plan.release
    base = dnf.Base(conf)
    base.reset(sack=True, goal=True)
    return base


def split_credentials(url: str) -> tuple[str, str, str]:
    """`url` without user name and password, and these two, decoded."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return url, "", ""
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, unquote(parts.username or ""), unquote(parts.password or "")


def _identifier(repository: Repository) -> str:
    place = split_credentials(repository.url)[0] + "\n" + split_credentials(repository.mirrorlist)[0]
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return re.sub(r"[^A-Za-z0-9._-]", "_", repository.name)[:60] + "-" + digest


def _configure(build: Build, base: Any, identifier: str, repository: Repository) -> Any:
    known = library("dnf.repo").Repo(identifier, base.conf)
    known.name = repository.name
    known.metadata_expire = 0
    known.deltarpm = False
    known.gpgcheck = False  # see signatures.py
    known.skip_if_unavailable = False
    known.timeout = _PATIENCE
    known.minrate = 1000
    known.retries = _RETRIES
    url, user, password = split_credentials(repository.url)
    mirrorlist, list_user, list_password = split_credentials(repository.mirrorlist)
    proxy, proxy_user, proxy_password = split_credentials(repository.proxy)
    if url:
        known.baseurl = [url if "://" in url else Path(url).absolute().as_uri()]
    if mirrorlist:
        known.mirrorlist = mirrorlist
    try:
        known.sslverify = repository.ssl_verify
        known.username, known.password = user or list_user, password or list_password
        if proxy:
            known.proxy = proxy if "://" in proxy else f"http://{proxy}"
            known.proxy_username = repository.proxy_user or proxy_user
            known.proxy_password = repository.proxy_password or proxy_password
        if repository.cost is not None:
            known.cost = repository.cost
        if repository.priority is not None:
            known.priority = repository.priority
    except library("dnf.exceptions").ConfigError as error:
        raise build.error(
            repository.line, f"repository {repository.name}: {error}", "correct the repo line", "repository-invalid"
        ) from error
    known.includepkgs = list(repository.include)
    known.excludepkgs = list(repository.exclude)
    base.repos.add(known)
    return known


def _load(build: Build, base: Any, known: Any, repository: Repository) -> None:
    failures: set[str] = set()
    # dnf forgets why each mirror failed as soon as it has logged it.
    known._md_pload._mirror_failure_cb = lambda _data, text, _url, _metadata: failures.add(text)
    try:
        # What is younger than a second would count as current whatever the options say.
        known._repo.expire()
        known.load()
        base._sack.load_repo(known._repo, build_cache=True, load_filelists=True)
    except (library("dnf.exceptions").Error, library("hawkey").Exception, RuntimeError, OSError) as error:
        # libdnf marks what it has as expired; what is damaged must not stay for the next build either.
        raise _explain(build, known, repository, error, failures) from error


def _explain(build: Build, known: Any, repository: Repository, error: Exception, failures: set[str]) -> BuildError:
    full = disk_full(error)
    if full is not None:
        return full
    details = [" ".join(text.split()) for text in (*sorted(failures), str(error))]
    told = f"repository {repository.name} ({split_credentials(repository.url or repository.mirrorlist)[0]})"
    message, remedy, cause = _diagnose(known, details)
    return build.error(repository.line, message.format(told), remedy, cause)


def _diagnose(known: Any, details: list[str]) -> tuple[str, str, str]:
    """What is wrong ({} stands for the repository), what to do, and the cause."""
    everything = "\n".join(details)
    if known._repo.isLocal():
        folder = _local_directory(known)
        if not folder.is_dir():
            # A directory of the machine that is no repository is not shown either.
            why = "no such directory, or without repodata/repomd.xml"
            return f"{{}} is not there: {why}", "correct the repo line's URL", "repository-unreachable"
        if not folder.joinpath("repodata/repomd.xml").is_file():
            return "{} has no repodata/repomd.xml", "run createrepo_c in it", "repository-invalid"
    status = re.search(r"Status code: (\d+)|returned error: (\d+)", everything)
    code = (status[1] or status[2]) if status else ""
    if code in ("401", "403", "407"):
        remedy = "give the right user name and password in its URL"
        return f"{{}} refuses access (status {code})", remedy, "repository-unreachable"
    remedy = "check the repo line's URL, the network and the proxy"
    curl = re.search(r"Curl error \(\d+\): ([^\[]*)(?:\[([^\]]*)\])?", everything)
    if curl is not None:
        reason = _literal((curl[2] or curl[1].partition(" for ")[0]).strip())
        return f"{{}} cannot be reached: {reason}", remedy, "repository-unreachable"
    if code:
        return f"{{}} cannot be reached: status {code}", remedy, "repository-unreachable"
    reason = _literal(next((text for text in details if text), "no reason is known"))
    remedy = "create the repository's metadata anew (createrepo_c)"
    return f"the metadata of {{}} cannot be used: {reason}", remedy, "repository-invalid"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _local_directory(known: Any) -> Path:
    return Path(unquote(urlsplit(known.baseurl[0]).path)) if known.baseurl else Path("/nonexistent")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def save(build: Build, tree: Tree) -> None:
    """Leave a .repo file in the image for every repository that asks for it, without credentials."""
    for each in build.plan.repositories:
        if not each.save:
            continue
        repository = each.as_given or each
        folder = tree.first("/etc/yum.repos.d", "/etc/zypp/repos.d") or "/etc/yum.repos.d"
        name = re.sub(r"[^A-Za-z0-9._-]", "_", repository.name)
        lines = [f"[{name}]", f"name={repository.name}", "enabled=1"]
        if repository.url:
            lines.append(f"baseurl={split_credentials(repository.url)[0]}")
        if repository.mirrorlist:
            lines.append(f"mirrorlist={split_credentials(repository.mirrorlist)[0]}")
        if repository.cost is not None:
            lines.append(f"cost={repository.cost}")
        if repository.priority is not None:
            lines.append(f"priority={repository.priority}")
        lines.append(f"gpgcheck={1 if repository.gpg_key else 0}")
        if repository.gpg_key:
            lines.append(f"gpgkey={','.join(split_credentials(url)[0] for url in repository.gpg_keys)}")
        if not repository.ssl_verify:
            lines.append("sslverify=0")
        tree.write(f"{folder}/{name}.repo", "\n".join(lines) + "\n")
