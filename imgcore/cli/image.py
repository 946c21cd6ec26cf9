# SPDX-License-Identifier: GPL-2.0-or-later
"""The image that a command line asks for: its options, the fields of a workitem that they make, and its job.

The fields go through the participants' own handlers: `augmented` is build_ks, `recorded` is request_image.
"""

from __future__ import annotations

import os
import platform
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgcore import kickstart, names
from imgcore.cli import options
from imgcore.cli.terminal import note
from imgcore.cli.tokens import beside
from imgcore.config import Config, parse_duration
from imgcore.errors import InputError
from participants import build_ks, request_image
from RuoteAMQP import Workitem

if TYPE_CHECKING:
    from imgcore.kickstarter import Generated

__all__ = ["asked_for", "augmented", "recorded", "request", "seconds"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "armv7l": "armv7hl"}
_YAML = (".yaml", ".yml")
_INCLUDES = re.compile(r"^\s*%(?:include|ksappend)\s", re.MULTILINE)
_OPTIONS = (
    click.option(
        "--type",
        "image_type",
        type=options.text,
        help="fs, loop or raw  [default: as the kickstart's header says, or fs]",
    ),
    click.option("--arch", type=options.text, help="Architecture of the image  [default: of this machine]"),
    click.option(
        "--name",
        type=options.text,
        help="Name of the image; of a YAML file, which one  [default: the kickstart's base name]",
    ),
    click.option(
        "--tokenmap",
        default="",
        metavar="K:V,…",
        help="Values for @K@ in the kickstart and $K in its scripts; KS.tokens beside it has them too, a line each.",
    ),
    click.option("--prefix", type=options.text, help="Directory below the output directory  [default: requests]"),
    click.option(
        "--extra-repo", multiple=True, metavar="URL", help="A repository more: URL, NAME=URL or a repo line."
    ),
    click.option("--package", multiple=True, help="A package more."),
    click.option("--group", multiple=True, help="A package group more."),
    click.option(
        "--opt", "extra_opts", multiple=True, metavar="OPTION", help="An option of the tool, as --opt=--copy-kernel."
    ),
    click.option("--tag", multiple=True, help="A word to find the job by."),
    click.option("--email", multiple=True, metavar="ADDRESS", help="Who gets a mail when the job has ended."),
    click.option(
        "--timeout",
        type=options.text,
        metavar="TIME",
        help="Give up after this long: 90s, 30m, 4h  [default: as configured]",
    ),
)


def request(function: _F) -> _F:
    """The options that say which image is wanted."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def asked_for(config: Config, ks: Path, given: dict[str, Any]) -> Workitem:
    """The workitem that asks for the image of a kickstart, as the options say. Raises InputError."""
    tokens = beside(ks)
    if ks.suffix in _YAML:
        made = _generated(ks, given["name"] or "")
        text, ks, given = made.text, ks.with_name(f"{made.file_name}.ks"), {**given, "name": made.file_name}
    else:
        text = kickstart.decode(_content(ks), ks.name)
    if not text.strip():
        raise InputError(f"kickstart {ks} is empty", "docs/kickstart.md says what one looks like")
    header, machine = kickstart.header(text), platform.machine()
    image = {
        "kickstart": text,
        "kickstart_name": ks.name,
        "name": given["name"] or _name(ks),
        "arch": given["arch"] or header.arch or _MACHINES.get(machine, machine),
        "image_type": given["image_type"] or header.image_type or "fs",
        "prefix": given["prefix"] or "requests",
        "tokenmap": {**tokens, **names.tokenmap(given["tokenmap"])},
        "extra_repos": list(given["extra_repo"]),
        "packages": list(given["package"]),
        "groups": list(given["group"]),
        "extra_opts": list(given["extra_opts"]),
        "tags": list(given["tag"]),
        "emails": list(given["email"]),
        "timeout": seconds(given["timeout"]),
        "user": options.user(),
        "source_date_epoch": _epoch(),
    }
    if _INCLUDES.search(text):
        # Nobody who builds the job, or builds it again, has the directory to include from: the file travels whole.
        image["kickstart"] = augmented(config, _bare(image), ks.parent).fields.image.kickstart
    return Workitem({"fields": {"image": image}})


def _generated(path: Path, name: str) -> Generated:
    """The image of that name that a YAML file describes; without a name, its only one."""
    from imgcore import kickstarter

    found, warnings = kickstarter.generate(kickstarter.Request(path, name))
    for each in warnings:
        note(str(each))
    if len(found) > 1:
        raise InputError(
            f"{path} describes {len(found)} images", f"name one with --name, such as {found[0].file_name}"
        )
    return found[0]


def _bare(image: dict[str, Any]) -> Workitem:
    """The kickstart alone, without what is to be added to it."""
    added = ("extra_repos", "packages", "groups")
    return Workitem({"fields": {"image": {name: value for name, value in image.items() if name not in added}}})


def augmented(config: Config, asked: Workitem, include_root: Path | None = None) -> Workitem:
    """What was asked for with its kickstart checked and augmented. Raises InputError."""
    checker = build_ks.ParticipantHandler()
    checker.config, checker.include_root = config, include_root
    made = asked.dup()
    checker.handle_wi(made)
    return made


def recorded(config: Config, asked: Workitem, made: Workitem) -> str:
    """Record the job; its id, which `made` gets too. Raises InputError, SpoolError."""
    recorder = request_image.ParticipantHandler()
    recorder.config = config
    recorder.handle_wi(asked)
    of_job, of_image = asked.fields.image, made.fields.image
    of_image.image_id, of_image.prefix = of_job.image_id, of_job.prefix
    return str(of_job.image_id)


def _content(ks: Path) -> bytes:
    """The kickstart's bytes; whatever is not a readable file of a sensible size is refused."""
    try:
        with ks.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
                raise InputError(f"kickstart {ks} is not a file", "give the path of a kickstart")
            return file.read(kickstart.MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise InputError(f"kickstart {ks} is a directory", "give a file in it") from error
    except FileNotFoundError as error:
        raise InputError(f"kickstart {ks} is not there", "check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"kickstart {ks} cannot be read: {reason}", "check the path and its permissions") from error


def _name(ks: Path) -> str:
    try:
        return names.name(ks.stem)
    except InputError as error:
        raise InputError(
            f"the kickstart's name, {names.shown(ks.name)}, cannot be the image's too", "give one with --name"
        ) from error


def seconds(timeout: str | None) -> float:
    """What `--timeout` says; 0 where it is not given. Raises InputError."""
    if timeout is None:
        return 0.0
    try:
        found = parse_duration(timeout)
    except ValueError as error:
        raise InputError(f"option --timeout: {error}", "write, for example, --timeout 90m") from error
    if not found:
        raise InputError(f"option --timeout: {timeout} is no time to build in", "leave it out, or write 90m")
    return found


def _epoch() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,10}", text) or not 0 < int(text) < 2**32:
        raise InputError(
            f"SOURCE_DATE_EPOCH is {names.shown(text)}, not a number of seconds since 1970", "unset or correct it"
        )
    return int(text)
