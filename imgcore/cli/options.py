"""Options that several commands have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from imgcore import config

__all__ = ["as_json", "configuration", "load", "spool"]

_F = TypeVar("_F", bound=Callable[..., Any])


def spool(function: _F) -> _F:
    """`--spool`."""
    return click.option(
        "--spool", type=click.Path(path_type=Path), help="Where jobs are recorded  [default: as configured]"
    )(function)


def configuration(function: _F) -> _F:
    """`--config`."""
    return click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="One more configuration file, read last."
    )(function)


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
