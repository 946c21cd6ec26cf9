# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories and packages: what is installed, and from where."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from imgcore.creator.plan import Attachment, Group, Item, Packages, Repository
from imgcore.kickstart.check import Checker
from imgcore.kickstart.mistakes import Notes, shown
from imgcore.kickstart.model import Command, Entry, Kickstart, PackageSection, unlike

__all__ = ["CARRIED", "NO_MEANING", "attachments", "packages", "repositories"]

#: Options of %packages that are carried out, and those that change nothing here.
#: Weak dependencies are never followed, so that --exclude-weakdeps is what happens anyway.
CARRIED = frozenset({"excludedocs", "ignoremissing", "inst-langs", "nocore", "exclude-weakdeps"})
NO_MEANING = {
    "nobase": "@base is not installed unless it is listed",
    "timeout": "the creator has its own",
    "retries": "the creator has its own",
    "resolvedeps": "dependencies are always resolved",
}
_REMEDIES = {
    "ignorebroken": "exclude the package that is broken",
    "default": "list the groups",
    "ignoredeps": "leave it out",
}


def repositories(commands: Sequence[Command], notes: Notes) -> tuple[Repository, ...]:
    """The repositories of the `repo` lines and of `url`."""
    found: dict[str, Repository] = {}
    lines: dict[str, Command] = {}
    for command in commands:
        if command.name not in ("repo", "url"):
            continue
        repository = _repository(Checker(command, notes))
        if repository is None:
            continue
        there = found.get(repository.name)
        if there is None:
            found[repository.name] = repository
            lines[repository.name] = command
            continue
        what = f"repository {repository.name} is there already, in line {there.line}"
        lost = unlike(command.given, command.values, lines[repository.name].values)
        if (there.url, there.mirrorlist) != (repository.url, repository.mirrorlist):
            what += ", with another URL"
            notes.mistake(command.place, what, "give it another name", word=repository.name, rule="conflict")
        elif repository.gpg_key not in ("", there.gpg_key):
            # The packages would not be verified as this line has it.
            what += ", with another --gpgkey" if there.gpg_key else ", without --gpgkey"
            notes.mistake(command.place, what, "remove one of the lines", word="--gpgkey", rule="conflict")
        else:
            what += f", and what this one has of {', '.join(lost)} is not used" if lost else ""
            notes.warning(command.place, what, word=repository.name, rule="duplicate")
    return tuple(found.values())


def _repository(check: Checker) -> Repository | None:
    before = len(check.notes.mistakes)
    name = "install" if check.command.name == "url" else str(check.value("name") or "")
    url = str(check.value("baseurl") or check.value("url") or "")
    mirrors, metalink = str(check.value("mirrorlist") or ""), str(check.value("metalink") or "")
    if not name:
        check.mistake("it has no name", "add --name=NAME")
    check.text("repository name", name)
    if sum(map(bool, (url, mirrors, metalink))) != 1:
        check.mistake(
            f"{shown(name)} needs one of --baseurl, --mirrorlist and --metalink" if check.command.name == "repo"
            else "it needs one of --url, --mirrorlist and --metalink"
        )  # fmt: skip
    if metalink and "metalink" not in metalink:
        check.mistake("the URL of --metalink does not say that it is one", "use --mirrorlist")
    keys = str(check.value("gpgkey") or "").split(",")
    repository = Repository(
        name=name,
        url=check.text("repository URL", _located(url)),
        # dnf tells a metalink from a mirror list by its URL.
        mirrorlist=check.text("repository URL", _located(mirrors or metalink)),
        cost=_optional(check, "cost", 0, 2**31 - 1),
        priority=_optional(check, "priority", 0, 2**31 - 1),
        include=_globs(check, "includepkgs"),
        exclude=_globs(check, "excludepkgs"),
        proxy=check.text("proxy", check.value("proxy")),
        proxy_user=str(check.value("proxy_username") or ""),
        proxy_password=str(check.value("proxy_password") or ""),
        gpg_key=",".join(_located(check.text("path" if key.startswith("/") else "URL", key)) for key in keys),
        ssl_verify=str(check.value("ssl_verify") or "yes").lower() != "no" and not check.value("noverifyssl"),
        save=bool(check.value("save") or check.value("install")),
        line=check.line,
    )
    for option, text in (("--proxyuser", repository.proxy_user), ("--proxypasswd", repository.proxy_password)):
        if not text.isprintable():
            check.mistake(f"{option} has characters that it cannot have")
    return repository if len(check.notes.mistakes) == before else None


def _located(url: str) -> str:
    """A URL: a path of this machine as one, too."""
    return "file://" + quote(url) if url.startswith("/") else url


def _optional(check: Checker, attribute: str, low: int, high: int) -> int | None:
    value = check.value(attribute)
    return None if value is None else check.number(f"--{attribute}", value, low, high)


def _globs(check: Checker, attribute: str) -> tuple[str, ...]:
    found = []
    for each in check.value(attribute) or ():
        if any(char.isspace() or not char.isprintable() for char in each) or each.startswith("-"):
            check.mistake(f"{shown(each)!r} is not a package name")
        else:
            found.append(each)
    return tuple(found)


def packages(kickstart: Kickstart, notes: Notes) -> Packages:
    """The packages of all %packages sections together; a later line about a name wins over an earlier one."""
    names: dict[str, Item] = {}
    groups: dict[str, Group] = {}
    excluded: dict[str, Item] = {}
    core = True
    for section in kickstart.packages:
        _judge_options(section, notes)
        core = core and "nocore" not in section.options
        for entry in section.entries:
            if entry.kind in ("environment", "module"):
                sign = "@^" if entry.kind == "environment" else "@"
                remedy = "list its groups" if entry.kind == "environment" else "list its packages"
                what = f"the {entry.kind} {sign}{entry.name} is not something that the built-in creator installs"
                notes.mistake(entry.place, what, remedy, word=entry.name, rule="tool")
                continue
            _enter(entry, names, groups, excluded, notes)
    if "@core" in excluded:
        core = False
        del excluded["@core"]
    return Packages(
        names=tuple(names.values()),
        groups=tuple(groups.values()),
        excluded=tuple(excluded.values()),
        first=tuple({each.name: Item(each.name, each.place.outer) for each in kickstart.prepackages}.values()),
        core=core,
        exclude_docs=any("excludedocs" in section.options for section in kickstart.packages),
        ignore_missing=any("ignoremissing" in section.options for section in kickstart.packages),
        languages=_languages(kickstart.packages, notes),
        line=kickstart.packages[0].place.outer if kickstart.packages else 0,
    )


def _enter(
    entry: Entry, names: dict[str, Item], groups: dict[str, Group], excluded: dict[str, Item], notes: Notes
) -> None:
    """One line of a list. What an earlier line said of the same name is said no longer."""
    line = entry.place.outer
    key = f"@{entry.name}" if entry.kind == "group" else entry.name
    listed: dict[str, Item] | dict[str, Group] = groups if entry.kind == "group" else names
    if entry.excluded:
        there = listed.pop(entry.name, None)
        if there is not None:
            what = f"{key} is excluded here and listed in line {there.line}: it is excluded"
            notes.warning(entry.place, what, word=key, rule="conflict")
        excluded.setdefault(key, Item(key, line))
        return
    dropped = excluded.pop(key, None)
    if dropped is not None:
        what = f"{key} is listed here and excluded in line {dropped.line}: it is installed"
        notes.warning(entry.place, what, word=key, rule="conflict")
    if entry.kind == "group":
        groups[entry.name] = Group(entry.name, entry.include, line)
    else:
        names.setdefault(entry.name, Item(entry.name, line))


def _judge_options(section: PackageSection, notes: Notes) -> None:
    for option in section.options:
        if option in NO_MEANING:
            what = f"--{option} of %packages has no meaning here: {NO_MEANING[option]}"
            notes.warning(section.place, what, word=f"--{option}", rule="tool")
        elif option not in CARRIED:
            what = f"--{option} of %packages is not something that the built-in creator does"
            remedy = _REMEDIES.get(option, "leave it out")
            notes.mistake(section.place, what, remedy, word=f"--{option}", rule="tool")


def _languages(sections: Sequence[PackageSection], notes: Notes) -> str | None:
    languages: str | None = None
    for section in sections:
        given = section.options.get("inst-langs")
        if given is None:
            continue
        text = given.replace(",", ":")
        if not all(char.isalnum() or char in "_.@:%-" for char in text):
            notes.mistake(section.place, f"--inst-langs: {shown(given)!r} is not a list of languages")
        if languages not in (None, text):
            notes.warning(section.place, "--inst-langs again: this one is used")
        languages = text
    return languages


def attachments(kickstart: Kickstart) -> tuple[Attachment, ...]:
    """What %attachment names."""
    return tuple({each.name: Attachment(each.name, each.place.outer) for each in kickstart.attachments}.values())
