# SPDX-License-Identifier: GPL-2.0-or-later
"""`img config check`: every mistake in every file that applies here, at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from imgcore import config, configcheck, inifile
from imgcore.cli import farm, options, table
from imgcore.cli.config import skynet
from imgcore.errors import InputError
from imgcore.inifile import Finding

__all__ = ["command"]


@click.command("check")
@click.argument("given", metavar="[FILE]...", nargs=-1, type=options.path)
@click.option("--strict", is_flag=True, help="End with 1 for warnings, too.")
@options.configuration
@options.as_json
def command(given: tuple[Path, ...], strict: bool, config_file: Path | None, json_wanted: bool) -> int:
    """Say what is wrong with the configuration: of imager.conf and of the participants, or of each FILE.

    Of a participant whose NAME.env names an imager.conf of its own (IMAGER_CONFIG), that is looked at, too.

    What is not known is a warning, what cannot be used an error. Directories and files with passwords are looked at
    as the user who runs this: `sudo -u imager img config check` looks as the services do.

    \b
    Exit codes: 0 no error, 1 an error.
    """
    found: list[Finding] = []
    files = _given(given, found) if given else _all(config_file, found)
    # Two readings may tell the same.
    findings = list(dict.fromkeys(found))
    if json_wanted:
        told = {"files": [str(each) for each in files], "findings": [_fields(each) for each in findings]}
        click.echo(json.dumps(told, indent=1))
    else:
        _tell(files, findings)
    return 1 if any(each.serious or strict for each in findings) else 0


def _all(extra: Path | None, found: list[Finding]) -> Sequence[Path]:
    """Look at all that applies; the files."""
    reading = config.read(extra, found=found.append)
    found.extend(configcheck.examine(reading))
    participants = skynet.files(farm.directory())
    found.extend(skynet.examine(farm.directory(), participants))
    files = [*reading.files, *participants]
    for path, variables in skynet.environments(farm.directory(), participants).items():
        named = variables.get("IMAGER_CONFIG", "")
        if named and configcheck.missing(Path(named)):
            message = f"{path}: IMAGER_CONFIG names {named}, which is not there"
            found.append(Finding(path, message, "make it, or correct the line", serious=True))
            continue
        with skynet.surrounded(variables):
            reading = config.read(extra, found=found.append)
            found.extend(configcheck.examine(reading))
        files += reading.files
    return list(dict.fromkeys(files))


def _given(given: Sequence[Path], found: list[Finding]) -> Sequence[Path]:
    for path in given:
        try:
            sections = (inifile.read(path, strict=False) or inifile.Ini(path, {}, {})).sections
        except InputError as error:
            found.append(Finding(path, error.message, error.remedy, serious=True))
            continue
        if skynet.SECTIONS & set(sections):
            found.extend(skynet.examine(path.parent, [path]))
        else:
            found.extend(configcheck.examine(config.read(path, files=(), found=found.append)))
    return given


def _fields(finding: Finding) -> dict[str, Any]:
    return {
        "severity": "error" if finding.serious else "warning",
        "file": str(finding.file),
        "line": finding.line or None,
        "section": finding.section,
        "option": finding.option,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _tell(files: Sequence[Path], findings: Sequence[Finding]) -> None:
    wrong = {each.file for each in findings}
    for each in files:
        if each not in wrong:
            click.echo(f"ok       {table.cell(each)}")
    for finding in findings:
        mark = "ERROR  " if finding.serious else "warning"
        remedy = f"  → {table.cell(finding.remedy)}" if finding.remedy else ""
        click.echo(f"{mark}  {table.cell(finding.said())}{remedy}")
    if not files:
        click.echo("no configuration file is here: all is as it is by default")
