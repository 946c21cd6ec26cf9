# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody asks for: the fields of a message or a command line, validated once.

The field names are those that workitems have under `fields.image`. Whatever passed here can become a path,
an argument or a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgcore import names
from imgcore.errors import InputError
from imgcore.job import Job
from imgcore.tool import Order

__all__ = ["say", "Request", "image_fields", "image_of", "parse"]

_KICKSTART_BYTES = 8 << 20
_MOST_EMAILS = 50
#: What a request and its record have in common.
_RECORDED = (
    "name", "arch", "image_type", "prefix", "tokenmap", "extra_opts", "extra_repos", "packages", "groups", "tags",
    "emails", "devicegroup", "release", "queue", "priority", "user", "timeout", "source_date_epoch",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One image that is wanted."""

    kickstart: str
    name: str
    arch: str
    image_type: str
    image_id: str = ""
    prefix: str = "requests"
    tokenmap: Mapping[str, str] = field(default_factory=dict)
    extra_opts: tuple[str, ...] = ()
    extra_repos: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    devicegroup: str = ""
    release: str = ""
    queue: str = ""
    #: `high`, or "".
    priority: str = ""
    user: str = ""
    #: Seconds; 0: as configured.
    timeout: float = 0.0
    #: What messages call the kickstart.
    kickstart_name: str = ""
    source_date_epoch: int = 0

    def job(self, image_id: str) -> Job:
        """The record of this request."""
        shared = {name: getattr(self, name) for name in _RECORDED}
        return Job(image_id=image_id, **{**shared, "tokenmap": dict(self.tokenmap)})

    def order(self, image_id: str, source_date_epoch: int) -> Order:
        """What a tool is told."""
        return Order(
            image_id=image_id,
            name=self.name,
            arch=self.arch,
            image_type=self.image_type,
            kickstart=self.kickstart.encode("utf-8", "surrogateescape"),
            kickstart_name=self.kickstart_name or f"{self.name}.ks",
            tokens=dict(self.tokenmap),
            extra_opts=self.extra_opts,
            source_date_epoch=self.source_date_epoch or source_date_epoch,
        )


def parse(image: Mapping[str, Any]) -> Request:
    """The request in the fields of `image`. Raises InputError that names field, value and remedy."""
    kickstart = image.get("kickstart")
    if not isinstance(kickstart, str) or not kickstart.strip():
        raise InputError("field kickstart: there is none", "give the text of a kickstart")
    if len(kickstart) > _KICKSTART_BYTES:
        raise InputError(
            f"field kickstart: {len(kickstart)} characters are more than {_KICKSTART_BYTES}", "is it a kickstart?"
        )
    try:
        kickstart.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InputError(f"field kickstart: character {error.start} is half of one", "write it as UTF-8") from error
    return Request(
        kickstart=kickstart,
        name=names.name(_mandatory(image, "name")),
        arch=names.arch(_mandatory(image, "arch")),
        image_type=names.image_type(_mandatory(image, "image_type")),
        image_id=names.image_id(image["image_id"]) if image.get("image_id") else "",
        prefix=names.prefix(image["prefix"]) if image.get("prefix") else "requests",
        tokenmap=names.tokenmap(image.get("tokenmap")),
        extra_opts=names.extra_opts(image.get("extra_opts")),
        extra_repos=names.string_list("extra_repos", image.get("extra_repos")),
        packages=tuple(names.package(each) for each in names.string_list("packages", image.get("packages"))),
        groups=tuple(names.group(each) for each in names.string_list("groups", image.get("groups"))),
        tags=tuple(names.tag(each) for each in names.string_list("tags", image.get("tags"))),
        emails=_emails(image.get("emails")),
        devicegroup=names.word("devicegroup", image["devicegroup"]) if image.get("devicegroup") else "",
        release=names.word("release", image["release"]) if image.get("release") else "",
        queue=names.prefix(image["queue"]) if image.get("queue") else "",
        # Another word than this is no mistake: engines have their own.
        priority="high" if image.get("priority") == "high" else "",
        user=names.user(image["user"]) if image.get("user") else "",
        timeout=_seconds(image.get("timeout")),
        kickstart_name=_label(image.get("kickstart_name")),
        source_date_epoch=_epoch(image.get("source_date_epoch")),
    )


def image_fields(job: Job, kickstart: bytes) -> dict[str, Any]:
    """The fields of an image by which the recorded job is asked for once more; `parse` reads them."""
    told: dict[str, Any] = {name: getattr(job, name) for name in _RECORDED}
    listed = {name: list(value) for name, value in told.items() if isinstance(value, tuple)}
    text = kickstart.decode("utf-8", "surrogateescape")
    return {**told, **listed, "tokenmap": dict(job.tokenmap), "image_id": job.image_id, "kickstart": text}


def _emails(value: Any) -> tuple[str, ...]:
    """Mail addresses: a list, JSON text of one, or text with commas between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [each.strip() for each in value.split(",") if each.strip()]
    listed = names.string_list("emails", value)
    if len(listed) > _MOST_EMAILS:
        raise InputError(f"field emails: {len(listed)} are more than {_MOST_EMAILS}", "give the address of a list")
    return tuple(names.user(each) for each in listed)


def _mandatory(image: Mapping[str, Any], field_name: str) -> Any:
    value = image.get(field_name)
    if value in (None, ""):
        raise InputError(
            f"field {field_name}: there is none",
            f"a request has kickstart, name, arch and image_type; add {field_name}",
        )
    return value


def _seconds(value: Any) -> float:
    if value in (None, "", 0):
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**8:
        raise InputError(f"field timeout: {names.shown(value)} is not a number of seconds", "for example 3600")
    return float(value)


def _epoch(value: Any) -> int:
    if value in (None, "", 0):
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**32:
        raise InputError(
            f"field source_date_epoch: {names.shown(value)} is not a time in seconds since 1970", "leave it out"
        )
    return value


def _label(value: Any) -> str:
    """A file name for messages: what cannot be printed is not."""
    return "".join(each for each in str(value or "")[-100:] if each.isprintable())


def say(fields: dict[str, Any], *lines: str) -> None:
    """Add lines to what the participants tell of a workitem."""
    messages = fields.setdefault("msg", [])
    if isinstance(messages, list):
        messages.extend(lines)


def image_of(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of the image in a workitem's fields: below `image`, or flat as older processes have them."""
    image = fields.get("image")
    return image if isinstance(image, dict) else fields
