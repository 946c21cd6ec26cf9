# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands have, and the types of their values.

A value that is there but empty is refused: it comes from a variable that a script forgot to set.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from imgcore import config

__all__ = ["as_json", "configuration", "export", "load", "path", "spool", "text", "user", "who"]

_F = TypeVar("_F", bound=Callable[..., Any])


def text(value: str) -> str:
    """The type of an option that takes some text; whether it is the right one is for others to say."""
    if not value:
        raise click.BadParameter("it is empty.")
    return value


def path(value: str) -> Path:
    """The type of an option that takes a path."""
    return Path(text(value))


def spool(function: _F) -> _F:
    """`--spool`."""
    return click.option("--spool", type=path, help="Where jobs are recorded  [default: as configured]")(function)


def configuration(function: _F) -> _F:
    """`--config`."""
    return click.option("--config", "config_file", type=path, help="One more configuration file, read last.")(
        function
    )


def as_json(function: _F) -> _F:
    """`--json`."""
    return click.option("--json", "json_wanted", is_flag=True, help="Print the result as JSON, and nothing else.")(
        function
    )


def load(config_file: Path | None, **changes: object) -> config.Config:
    """The configuration with the options that were given; relative paths are made absolute."""
    given = {
        name: value.absolute() if isinstance(value, Path) else value
        for name, value in changes.items()
        if value is not None
    }
    return dataclasses.replace(config.load(config_file), **given)  # type: ignore[arg-type]


def export(config_file: Path | None, spool: Path | None) -> None:
    """Have whatever this process loads later, and its children, use what was given. Raises InputError."""
    for name, value in (("IMAGER_CONFIG", config_file), ("IMAGER_SPOOL", spool)):
        if value is not None:
            os.environ[name] = str(value.absolute())
    config.load()


def who() -> str:
    """Who has typed the command, and where."""
    return f"{user()}@{socket.gethostname()}"


def user() -> str:
    """Who has typed the command."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
