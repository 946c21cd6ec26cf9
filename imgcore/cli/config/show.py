# SPDX-License-Identifier: GPL-2.0-or-later
"""`img config show`: what is in force, and where each of it was said."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import click

from imgcore import config
from imgcore.cli import options, table
from imgcore.config import Setting
from imgcore.credentials import MASK, masked
from imgcore.inifile import Finding

__all__ = ["command", "written"]

_BYTES = ("memory", "disk", "log", "free_memory", "free_disk")
_SECONDS = ("timeout", "hook_time")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@click.command("show")
@options.spool
@options.configuration
@options.as_json
def command(spool: Path | None, config_file: Path | None, json_wanted: bool) -> int:
    """Show every option with its value, and the file and line that it comes from. Secrets are never shown."""

    def found(finding: Finding) -> None:
        if finding.serious:
            raise finding.error()

    # Warned of what is not known, as by every other command.
    config.load(config_file)
    settings = config.read(config_file, found=found).settings()
    if spool is not None:
        given = Setting("imager", "spool", spool.absolute(), "option")
        settings = [given if (each.section, each.option) == ("imager", "spool") else each for each in settings]
    if json_wanted:
        click.echo(json.dumps([_fields(each) for each in settings], indent=1))
    else:
        names = [table.cell(f"[{each.section}] {each.option}") for each in settings]
        values = [table.cell(_shown(each)) for each in settings]
        wide, wider = max(map(len, names)), max(map(len, values))
        for name, value, each in zip(names, values, settings, strict=True):
            click.echo(f"{name:<{wide}}  {value:<{wider}}  {table.cell(_origin(each))}")
    return 0


def written(option: str, value: object) -> str:
    """A value as it would stand in a file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if option in ("slots", "cores") and not value:
        return "auto"
    if isinstance(value, int) and option in _BYTES:
        power = next((each for each in (4, 3, 2, 1) if value and value % 1024**each == 0), 0)
        return f"{value // 1024**power}{'KMGT'[power - 1] if power else ''}"
    if isinstance(value, int | float) and option in _SECONDS:
        unit, seconds = next(each for each in _UNITS if value % each[1] == 0 or each[1] == 1)
        return f"{value / seconds:g}{unit}"
    if isinstance(value, tuple):
        return shlex.join(value) if option == "command" else " ".join(value)
    return str(value)


def _shown(setting: Setting) -> str:
    text = masked(written(setting.option, setting.value))
    if setting.section.startswith("webhook ") and setting.option == "url":
        # Of many receivers the path is what lets one in.
        parts = urlsplit(text)
        text = f"{parts.scheme}://{parts.netloc}/" + (MASK if parts.path.strip("/") or parts.query else "")
    return text


def _origin(setting: Setting) -> str:
    names = {"option": "option --spool", "environment": "$IMAGER_SPOOL"}
    return f"{setting.file}, line {setting.line}" if setting.file else names.get(setting.origin, setting.origin)


def _fields(setting: Setting) -> dict[str, object]:
    fields = dataclasses.asdict(setting)
    file = str(setting.file) if setting.file else None
    return {**fields, "value": _shown(setting), "file": file, "line": setting.line or None}
