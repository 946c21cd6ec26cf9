# SPDX-License-Identifier: GPL-2.0-or-later
"""build_ks: validates a kickstart and adds to it what the process asks for.

Everything that is wrong comes as one error, whose first line is the summary, and in `msg`; `result` is False then.
The kickstart that goes on has its included files in place, so that a worker needs nothing else.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from imgcore import config, kickstart, names, request
from imgcore.buildservice import BuildService
from imgcore.declaration import Declaration, Field
from imgcore.errors import ImagerError, InputError
from imgcore.kickstart.examine import TOOLS, examine
from imgcore.kickstart.mistakes import Grade, Mistake
from RuoteAMQP import Workitem

__all__ = ["DECLARES", "ParticipantHandler"]

_LIST = "list of texts, or JSON text of one"
#: What else can be changed, as a list in the image and in the attributes of the step alike.
_CHANGES = {
    "exclude": "packages, and with `@` groups, to exclude",
    "remove": "packages, and with `@` groups, whose lines go",
    "replace_repos": "`NAME=URL`: repositories that get another URL",
    "remove_repos": "repositories whose lines go",
    "commands": "command lines, each in the place of the one about the same thing",
    "remove_commands": "commands whose lines go",
    "sections": "whole sections to add, from their header on",
}
_TOKENS = "`K:V,K:V`: values that are put in for `@K@`, for good"
DECLARES = Declaration(
    participant="build_ks",
    reads=(
        Field("image.kickstart", str, "the kickstart's text; or `image.ksfile`"),
        Field("image.ksfile", str, "path of a kickstart below `ksstore`, whose files it may include"),
        Field("image.extra_repos", _LIST, "repositories to add: URL, `NAME=URL`, or a whole `repo` line"),
        Field("image.packages", _LIST, "packages to add"),
        Field("image.groups", _LIST, "package groups to add"),
        *(Field(f"image.{name}", _LIST, meaning) for name, meaning in _CHANGES.items()),
        Field("image.tokens", str, _TOKENS),
        Field("image.tokenmap", str, "values for `@K@`: `K:V,K:V`"),
        Field("image.extra_opts", "list of texts", "options of the tool: `--release=` is the value of `@RELEASE@`"),
        Field("image.exclude_prjs", _LIST, "projects of the build trial whose repositories are not added"),
        Field("ev.namespace", str, "which build service `project` and the build trial are of"),
        Field(
            "build_trial.subprojects", "list, or object with them as keys", "projects whose repositories are added"
        ),
        Field("build_trial.suffix", str, "what the projects of the trial have behind the names in `exclude_prjs`"),
    ),
    params=(
        Field("packages", _LIST, "more packages to add"),
        Field("packages_from", str, "the field (`a.b`) that has more packages to add; it need not be there"),
        Field("groups", _LIST, "more groups to add"),
        Field("groups_from", str, "the field that has more groups to add"),
        *(Field(name, _LIST, f"more {meaning}") for name, meaning in _CHANGES.items()),
        Field("tokens", str, _TOKENS),
        Field("project", str, "a build service's project whose repositories are added"),
        Field("repository", str, "the one repository of `project` that is added"),
    ),
    writes=(
        Field("image.kickstart", str, "the kickstart with everything in it"),
        Field("image.kickstart_diff", str, "what was changed, as a unified diff without secrets"),
        Field("image.name", str, "where it is unset: the file's base name"),
        Field("image.arch", str, "where it is unset: as the kickstart's header says"),
        Field("image.image_type", str, "where it is unset: as the kickstart's header says"),
        Field("image.extra_repos", list, "all repositories that were to be added"),
        Field("msg", list, "a line for each thing that was found or done"),
    ),
)

_INCLUDES = re.compile(r"^\s*%(?:include|ksappend)\s", re.MULTILINE)
#: Lines that a message speaks of.
_LINES = re.compile(r"lines? \d+(?:, \d+)*(?:, …)?")
_LONGEST_DIFF = 100_000


class ParticipantHandler:
    """The participant. `include_root`: where a kickstart that was sent may include files from (None: nowhere)."""

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("build_ks")
        self.config: config.Config | None = None
        self.include_root: Path | None = None

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start."""
        if ctrl.message == "start":
            self.config = config.load()

    def handle_wi_control(self, ctrl: Any) -> None:
        """Nothing here takes long enough to be cancelled."""

    def handle_wi(self, wid: Workitem) -> None:
        """Validate and augment. Raises InputError that names file, line and remedy, and has the rest as notes."""
        wid.result = False
        messages = wid.fields.as_dict().setdefault("msg", [])
        told: list[str] = []
        try:
            told += self._made(wid)
            wid.result = True
        except ImagerError as error:
            told += [str(error), *getattr(error, "__notes__", ())]
            raise
        finally:
            for line in told:
                self.log.info("%s", line)
            if isinstance(messages, list):
                messages.extend(told)

    def _made(self, wid: Workitem) -> list[str]:
        """Do it; what there is to say about it."""
        image = request.image_of(wid.fields.as_dict())
        name, content, root = self._found(image)
        text = kickstart.decode(content, name)
        arch = names.arch(image["arch"]) if image.get("arch") else kickstart.header(text).arch
        wanted = self._wanted(wid, image)
        known = {**wanted.tokens, **names.tokenmap(image.get("tokenmap"))}
        release = kickstart.release_of(names.extra_opts(image.get("extra_opts")))
        tokens = kickstart.with_defaults(known, arch=arch, release=release)
        read = kickstart.read(content, name, root=root, tokens=tokens)
        warnings = self._found_in(content, name, root, tokens, image)
        given = text
        if _INCLUDES.search(text):
            # The worker has no directory to include from: the file travels whole.
            text = kickstart.flat(content, name, root=root, tokens=tokens, given=known)
        changed = kickstart.change(text, wanted, name)
        if changed.text != given:
            # Its lines have other numbers.
            built, as_built = changed.text.encode("utf-8", "surrogateescape"), f"{name} as it will be built"
            read = kickstart.read(built, as_built, tokens=tokens)
            warnings = _with_new(warnings, self._found_in(built, as_built, None, tokens, image))
        image["kickstart"] = changed.text
        image["kickstart_diff"] = _cut(kickstart.redact_diff(changed.diff))
        if wanted.extra_repos:
            image["extra_repos"] = list(wanted.extra_repos)
        if not image.get("name"):
            image["name"] = names.name(PurePosixPath(name).stem)
        for field, value in (("arch", read.header.arch), ("image_type", read.header.image_type)):
            if value and not image.get(field):
                image[field] = value
        come, gone = (sum(line.startswith(sign) for line in changed.diff.splitlines()[2:]) for sign in "+-")
        what = f"{come or 'no'} line{'' if come == 1 else 's'} added" + (f", {gone} taken out" if gone else "")
        return [
            f"{name}: valid, {what}",
            *(f"{each} ({each.remedy})" if each.remedy else str(each) for each in warnings),
        ]

    def _found_in(
        self, content: bytes, name: str, root: Path | None, tokens: Mapping[str, str], image: dict[str, Any]
    ) -> list[Mistake]:
        """What will not be as it was asked for, by the tool that is configured here."""
        tool, image_type = self._settings().tool, image.get("image_type")
        seen = examine(
            content,
            name,
            root=root,
            tokens=tokens,
            tools=[tool] if tool in TOOLS else [],
            image_type=image_type if isinstance(image_type, str) else "",
        )
        return [each for each in seen.found if each.grade > Grade.NOTE]

    def _found(self, image: dict[str, Any]) -> tuple[str, bytes, Path | None]:
        """Name, content and include directory of the kickstart that the fields mean."""
        text = image.get("kickstart")
        if isinstance(text, str) and text:
            label = str(image.get("kickstart_name") or f"{image.get('name') or 'image'}.ks")
            return label, text.encode("utf-8", "surrogateescape"), self.include_root
        if not image.get("ksfile"):
            raise InputError("field kickstart: there is none", "give image.kickstart, or image.ksfile")
        store = self._settings().ksstore
        if store is None:
            raise InputError("field ksfile: this participant has no store", "set ksstore in imager.conf")
        return str(image["ksfile"]), kickstart.stored(store, image["ksfile"]), store

    def _wanted(self, wid: Workitem, image: dict[str, Any]) -> kickstart.Changes:
        repositories = (
            *names.string_list("extra_repos", image.get("extra_repos")),
            *self._of_project(wid),
            *self._of_trial(wid, image),
        )
        return kickstart.Changes(
            extra_repos=tuple(dict.fromkeys(repositories)),
            packages=[names.package(each) for each in _listed(wid, image, "packages")],
            groups=[names.group(each) for each in _listed(wid, image, "groups")],
            tokens={**names.tokenmap(image.get("tokens")), **names.tokenmap(wid.params.as_dict().get("tokens"))},
            **{kind: _listed(wid, image, kind) for kind in _CHANGES},
        )

    def _of_project(self, wid: Workitem) -> tuple[str, ...]:
        """URLs of the repositories of the project that the step names."""
        project, repository = wid.lookup("params.project"), wid.lookup("params.repository")
        if not project:
            return ()
        service = self._service(wid)
        return (service.url(project, repository),) if repository else service.urls(project)

    def _of_trial(self, wid: Workitem, image: dict[str, Any]) -> Iterator[str]:
        """URLs of the repositories of the build trial's projects."""
        trial = wid.fields.as_dict().get("build_trial")
        if not isinstance(trial, dict) or not trial.get("subprojects"):
            return
        given, suffix = trial["subprojects"], trial.get("suffix") or ""
        projects = names.string_list("subprojects", list(given) if isinstance(given, dict) else given)
        excluded = {f"{each}{suffix}" for each in names.string_list("exclude_prjs", image.get("exclude_prjs"))}
        service = self._service(wid)
        for project in projects:
            if project not in excluded:
                yield from service.urls(project)

    def _service(self, wid: Workitem) -> BuildService:
        services = self._settings().build_services
        namespace = wid.lookup("ev.namespace")
        for each in services.values():
            if namespace in (each.name, each.api) or (not namespace and len(services) == 1):
                return each
        raise InputError(
            f"field ev.namespace: {names.shown(namespace)} is not a build service that is known here",
            f"known: {', '.join(services)}" if services else "describe it in imager.conf: [build_service NAME]",
        )

    def _settings(self) -> config.Config:
        return self.config or config.load()


def _listed(wid: Workitem, image: dict[str, Any], kind: str) -> list[str]:
    """Packages, groups or what else is changed, of all places that may have some, each once."""
    one_line = kind != "sections"
    params = wid.params.as_dict()
    where = params.get(f"{kind}_from") if kind in ("packages", "groups") else None
    if where and not isinstance(where, str):
        raise InputError(f"param {kind}_from: {names.shown(where)} is not the name of a field", "for example a.b")
    elsewhere: Any = wid.lookup(where) if where else None
    found = [
        *names.string_list(f"params.{kind}", params.get(kind), one_line=one_line),
        *names.string_list(str(where), elsewhere.as_dict() if hasattr(elsewhere, "as_dict") else elsewhere),
        *names.string_list(kind, image.get(kind), one_line=one_line),
    ]
    return list(dict.fromkeys(found))


def _with_new(before: list[Mistake], after: list[Mistake]) -> list[Mistake]:
    """What was found before the changes, and behind it what came with them; what they mended is not told."""
    come, still = Counter(map(_said, after)), []
    for each in before:
        if come[_said(each)]:
            come[_said(each)] -= 1
            still.append(each)
    new = []
    for each in reversed(after):
        if come[_said(each)]:
            come[_said(each)] -= 1
            new.append(each)
    return [*still, *reversed(new)]


def _said(mistake: Mistake) -> str:
    """What is said, whatever line it is in."""
    return _LINES.sub("", f"{mistake.rule} {mistake.what}")


def _cut(diff: str) -> str:
    return diff if len(diff) <= _LONGEST_DIFF else f"{diff[:_LONGEST_DIFF]}\n…\n"
