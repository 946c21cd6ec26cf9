# SPDX-License-Identifier: GPL-2.0-or-later
"""From the %packages section to the list of packages to install.

What is asked for by name must be there (unless --ignoremissing), what a group lists may be missing, what is
excluded is as if no repository had it. Weak dependencies (Recommends, Supplements) are not followed: mic does
not either, and an image has what was asked for.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcore.creator.build import Build
from imgcore.creator.native import library
from imgcore.creator.packages.repositories import Sources
from imgcore.creator.plan import Group, Item
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["Selection", "resolve"]

#: Problems told in one message; the log has all.
_MOST_PROBLEMS = 3


@dataclass(frozen=True)
class Selection:
    """dnf's packages to install, by name; `first` are those of %prepackages."""

    packages: tuple[Any, ...]
    first: tuple[Any, ...]


def resolve(build: Build, sources: Sources) -> Selection:
    """Choose the packages. Raises BuildError: package-missing, group-missing or dependency-conflict."""
    wanted = build.plan.packages
    build.announce(Progress("resolve", 0, 0, f"{len(wanted.names)} packages, {len(wanted.groups)} groups"))
    marker = _Marker(build, sources)
    for item in (*wanted.first, *wanted.names):
        marker.mark(item)
    comps = _Comps(build, sources)
    for item in wanted.excluded:
        if item.name.startswith("@"):
            comps.exclude(item)
    if wanted.core:
        comps.mark_core(marker)
    for group in wanted.groups:
        comps.mark(group, marker)
    goal = sources.base._goal
    if goal.req_length() == 0:
        build.warn("no packages are selected", wanted.line)
        return Selection((), ())
    if not goal.run(allow_uninstall=False, force_best=False, ignore_weak_deps=True):
        raise _conflict(build, goal.problem_rules())
    chosen = sorted(goal.list_installs(), key=str)
    build.announce(Progress("resolve", len(chosen), len(chosen), f"{len(chosen)} packages"))
    first = {name for item in wanted.first for name in marker.names(item.name)}
    return Selection(tuple(chosen), tuple(package for package in chosen if package.name in first))


class _Marker:
    """Marks single packages for installation."""

    def __init__(self, build: Build, sources: Sources) -> None:
        self.build = build
        self.base = sources.base
        self.arches = {*self.base.sack.list_arches(), "noarch"}

    def mark(self, item: Item) -> None:
        """Mark what a line of %packages names: a name, name.arch, name-version, glob, provide or path."""
        if self._install(item.name, strict=True):
            return
        message, remedy = self._missing(item)
        if self.build.plan.packages.ignore_missing:
            self.build.warn(f"{message}; ignored", item.line)
            return
        raise self.build.error(item.line, message, remedy, "package-missing")

    def mark_if_there(self, name: str, requirement: str = "") -> bool:
        """Mark `name` (for a conditional package: only if `requirement` gets installed). False: not there."""
        if requirement:
            if not self.base.sack.query().filterm(name=name):
                return False
            selector = library("dnf.selector").Selector(self.base.sack)
            selector.set(provides=f"({name} if {requirement})")
            self.base._goal.install(select=selector, optional=True)
            return True
        return self._install(name, strict=False)

    def names(self, spec: str) -> set[str]:
        """The names of the packages that `spec` may mean."""
        subject = library("dnf.subject").Subject(spec)
        return {package.name for package in subject.get_best_query(self.base.sack)}

    def _install(self, spec: str, strict: bool) -> bool:
        found = library("dnf.subject").Subject(spec).get_best_query(self.base.sack)
        # dnf would mark a package for another machine and then call it a conflict.
        if found and not any(package.arch in self.arches for package in found):
            return False
        try:
            self.base.install(spec, strict=strict)
        except library("dnf.exceptions").MarkingError:
            return False
        return True

    def _missing(self, item: Item) -> tuple[str, str]:
        for excluded in self.build.plan.packages.excluded:
            if fnmatch.fnmatchcase(item.name, excluded.name):
                return (
                    f"package {item.name} is asked for, but excluded by line {excluded.line}",
                    "remove one of the two lines",
                )
        sack = self.base.sack
        everything = sack.query(flags=library("hawkey").IGNORE_EXCLUDES)
        arches = {package.arch for package in everything.filter(name=item.name)}
        if arches and not arches & self.arches:
            only = ", ".join(sorted(arches))
            return (
                f"package {item.name} is there for {only} only, not for {self.build.plan.arch}",
                "choose another --arch, or add the repository that has it",
            )
        if arches:
            return (
                f"package {item.name} is left out by the include or exclude list of its repository",
                "change --includepkgs or --excludepkgs of the repo line",
            )
        names = {package.name for package in sack.query()}
        near = difflib.get_close_matches(item.name, names, 3, 0.75)
        remedy = f"did you mean {' or '.join(near)}?" if near else "add the repository that has it"
        return f"package {item.name} is in none of the repositories", remedy


class _Comps:
    """The package groups of all repositories."""

    def __init__(self, build: Build, sources: Sources) -> None:
        self.build = build
        self.comps = library("dnf.comps").Comps()
        self.without: set[str] = set()
        for number, known in enumerate(sources.base.repos.iter_enabled()):
            packed = known._repo.getCompsFn()
            if packed:
                self._add(Path(packed), build.place.tmp / f"comps-{number}.xml", sources.name(known.id))
        self.comps._i.arch_filter([sources.base.conf.substitutions["basearch"]])

    def _add(self, packed: Path, plain: Path, repository: str) -> None:
        # Not where dnf unpacks it: the cache belongs to other jobs too.
        try:
            library("dnf.yum.misc").decompress(str(packed), dest=str(plain))
            self.comps._add_from_xml_filename(str(plain))
        except library("dnf.exceptions").Error as error:
            raise BuildError(
                f"the groups of repository {repository} cannot be read: {error}",
                "create the repository's metadata anew (createrepo_c)",
                "repository-invalid",
            ) from error
        finally:
            plain.unlink(missing_ok=True)

    def mark_core(self, marker: _Marker) -> None:
        """Mark the group `core` where there is one."""
        if self._find("core") is not None:
            self.mark(Group("core"), marker)

    def mark(self, group: Group, marker: _Marker) -> None:
        """Mark the packages of a group, or of the groups of an environment."""
        found = self._find(group.name)
        if found is not None:
            self._mark_group(found, group, marker)
            return
        environment = self.comps.environment_by_pattern(group.name.removeprefix("^"))
        if environment is not None:
            groups = list(environment.mandatory_groups)
            if group.include == "all":
                groups += list(environment.optional_groups)
            for each in groups:
                self._mark_group(each, group, marker)
            return
        message = f"package group {group.name} is in none of the repositories"
        if self.build.plan.packages.ignore_missing:
            self.build.warn(f"{message}; ignored", group.line)
            return
        known = sorted({each.id for each in self.comps.groups} | {each.ui_name for each in self.comps.groups})
        near = difflib.get_close_matches(group.name, known, 2)
        remedy = f"did you mean {' or '.join(near)}?" if near else "add the repository that has it"
        raise self.build.error(group.line, message, remedy, "group-missing")

    def exclude(self, item: Item) -> None:
        """Leave out what the group lists (`-@group`), without forbidding it as a dependency."""
        found = self._find(item.name.removeprefix("@"))
        if found is not None:
            self.without.update(package.name for package in found.packages_iter())

    def _find(self, name: str) -> Any | None:
        if name.startswith("^"):
            return None
        # dnf answers with a set: which of several comes first must not change from run to run.
        return min(self.comps.groups_by_pattern(name) or (), key=lambda group: str(group.id), default=None)

    def _mark_group(self, found: Any, group: Group, marker: _Marker) -> None:
        packages = list(found.mandatory_packages)
        if group.include != "required":
            packages += [*found.default_packages, *found.conditional_packages]
        if group.include == "all":
            packages += list(found.optional_packages)
        conditional = {package.name: package.requires for package in found.conditional_packages}
        missing = [
            package.name
            for package in packages
            if package.name not in self.without
            and not marker.mark_if_there(package.name, conditional.get(package.name) or "")
        ]
        if missing:
            self.build.say(f"Not in the repositories, left out of group {found.id}: {', '.join(sorted(missing))}")


def _conflict(build: Build, problems: list[list[str]]) -> BuildError:
    sentences = []
    line = 0
    for problem in problems:
        facts = [fact for fact in problem if fact != "conflicting requests"] or list(problem)
        sentences.append("; ".join(facts))
        build.say("Problem: " + sentences[-1])
    told = sentences[:_MOST_PROBLEMS]
    for sentence in told:
        line = line or _line_of(build, sentence)
    more = f" (and {len(sentences) - len(told)} more)" if len(sentences) > len(told) else ""
    return build.error(
        line,
        f"the packages do not fit together: {'. '.join(told)}{more}",
        "see the problems in the log; leave out one of the packages, or add the repository that has what is missing",
        "dependency-conflict",
    )


def _line_of(build: Build, sentence: str) -> int:
    """The line of %packages that asked for a package the sentence speaks of, 0 if none did."""
    words = set(re.findall(r"[^\s,;]+", sentence))
    for item in (*build.plan.packages.names, *build.plan.packages.first):
        pattern = re.compile(re.escape(item.name) + r"(-[^-]+-[^-]+\.\w+)?")
        if any(pattern.fullmatch(word) for word in words):
            return item.line
    return 0
