# SPDX-License-Identifier: GPL-2.0-or-later
"""A build service (OBS): which repositories a project has, and where they are published.

The list of a project's repositories is asked for at the service's API; a repository that is named needs no
question. Answers are bounded in time and size. A leaf.
"""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from imgcore import names
from imgcore.errors import ImagerError, InputError

__all__ = ["BuildService"]

_SECONDS = 30
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class BuildService:
    """One service. `repositories` is the URL that projects are published below, `api` its API (empty: none)."""

    name: str
    repositories: str
    api: str = ""
    #: A file with USER:PASSWORD that only its owner may read; None: the API's public part is asked.
    credentials: Path | None = None

    def url(self, project: str, repository: str) -> str:
        """Where a repository of a project is published. Raises InputError for a name that cannot be one."""
        parts = names.project("project", project), names.project("repository", repository)
        return "/".join([self.repositories.rstrip("/"), *(part.replace(":", ":/") for part in parts)])

    def urls(self, project: str) -> tuple[str, ...]:
        """Where all repositories of a project are published. Raises InputError, ImagerError if nobody answers."""
        return tuple(self.url(project, each) for each in self._names(project))

    def _names(self, project: str) -> tuple[str, ...]:
        project = names.project("project", project)
        if not self.api:
            raise InputError(
                f"build service {self.name} has no api to ask for the repositories of {project}",
                "name one with the parameter repository, or set api in imager.conf",
            )
        # Only now: they take as long to load as all the rest.
        from xml.etree import ElementTree

        try:
            # As text, whose encoding no declaration can change; of entities expat bounds what they grow to.
            meta = ElementTree.fromstring(self._meta(project).decode("utf-8"))  # noqa: S314
        except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
            raise self._failed(f"its answer about {project} is not understood: {error}") from error
        return tuple(each.get("name", "") for each in meta.iter("repository"))

    def _meta(self, project: str) -> bytes:
        from urllib.request import Request

        from imgcore.fetch import NotFetched, fetch

        public = "" if self.credentials else "/public"
        request = Request(f"{self.api.rstrip('/')}{public}/source/{project}/_meta")  # noqa: S310 - fetch sees to it
        if self.credentials:
            # Not sent again to where a redirection leads.
            request.add_unredirected_header("Authorization", _basic(self.credentials))
        try:
            return fetch(request, seconds=_SECONDS, most=_MOST_BYTES)
        except NotFetched as error:
            if error.status == 404:
                raise InputError(
                    f"build service {self.name} has no project {project}", "see that the parameter project is right"
                ) from error
            raise self._failed(f"{error}, asked about {project}") from error

    def _failed(self, what: str) -> ImagerError:
        return ImagerError(f"build service {self.name}: {what}", "try again, or name the repository")


def _basic(path: Path) -> str:
    """The header of the user and password in a file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(4096).strip()
    except OSError as error:
        raise InputError(f"credentials {path} cannot be read: {error.strerror}", "see who may read it") from error
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(f"credentials {path} can be read by others than its owner", f"chmod 600 {path}")
    if b":" not in content or b"\n" in content:
        raise InputError(f"credentials {path} is not one line USER:PASSWORD", "write that")
    return "Basic " + base64.b64encode(content).decode("ascii")
