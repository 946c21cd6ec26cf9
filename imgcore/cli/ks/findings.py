# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found in kickstarts, written for who is to read it: a person or an editor, JSON, SARIF, GitHub."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from imgcore import __version__
from imgcore.buildlog import printable
from imgcore.cli.terminal import note
from imgcore.errors import ImagerError

if TYPE_CHECKING:
    from imgcore.kickstart import Mistake

__all__ = ["FORMATS", "Finding", "as_json", "finding", "rendered", "telling"]

#: What the kinds are about, for SARIF.
_RULES = {
    "syntax": "A line that cannot be read",
    "include": "An included file that cannot be read",
    "dialect": "Something that the dialect has not got",
    "deprecated": "A command that is on its way out",
    "token": "A token without a value",
    "value": "A value that cannot be used",
    "duplicate": "The same thing twice",
    "conflict": "Two lines that contradict each other",
    "no-root": "No root partition",
    "no-repo": "No repository",
    "size": "A size that cannot be",
    "secret": "A secret in plain text",
    "script": "A script that does not parse",
    "tool": "Something that a tool ignores or refuses",
    "yaml": "A description that no kickstart can be made of",
    "online": "A repository that does not answer, or lacks a package",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `column` is 0 where it is not known, `text` is the line without secrets."""

    file: str
    line: int
    column: int
    grade: str
    rule: str
    message: str
    remedy: str
    text: str
    #: Where in `text` that is: a secret before it can be of another length.
    shown_column: int = 0


def finding(mistake: Mistake, lines: Mapping[tuple[str, int], str], path: Callable[[str], str]) -> Finding:
    """A mistake in a kickstart whose lines are known; `path` says where a file is that it names."""
    from imgcore.kickstart import redact
    from imgcore.kickstart.mistakes import column

    place = mistake.place
    text = lines.get((place.file, place.line), "")
    at = column(text, mistake.word)
    shown = len(redact(text[: at - 1])) + 1 if at else 0
    return Finding(
        path(place.file), place.line, at, str(mistake.grade), mistake.rule, mistake.what, mistake.remedy,
        redact(text), shown,
    )  # fmt: skip


@contextlib.contextmanager
def telling(path: Callable[[str], str]) -> Iterator[None]:
    """Tells all that an error has to say, each with its place, and then ends the command with its exit code."""
    try:
        yield
    except ImagerError as error:
        from imgcore.kickstart import KickstartError

        notes: Sequence[str] = getattr(error, "__notes__", ())
        if isinstance(error, KickstartError):
            found = [finding(each, error.lines, path) for each in error.mistakes]
            click.echo(rendered(found, "text"), err=True, nl=False)
            if error.bounded:
                note("img: there are more errors; only so many are told")
        elif notes:
            for each in (str(error), *notes):
                note(f"img: {each}")
        else:
            raise
        raise click.exceptions.Exit(error.exit_code) from error


def _text(findings: Sequence[Finding]) -> Iterator[str]:
    for each in findings:
        place = f"{each.file}:{each.line}" + (f":{each.column}" if each.column else "")
        remedy = f" ({each.remedy})" if each.remedy else ""
        yield printable(f"{place}: {each.grade}: {each.message}{remedy} [{each.rule}]")
        if each.text.strip() and len(each.text) <= 200:
            yield f"    {printable(each.text.expandtabs(1))}"
            if each.shown_column:
                yield f"    {' ' * (each.shown_column - 1)}^"


def _json(findings: Sequence[Finding]) -> Iterator[str]:
    yield json.dumps([as_json(each) for each in findings], indent=1)


def as_json(each: Finding) -> dict[str, Any]:
    """Its fields, for programs."""
    return {name: value for name, value in vars(each).items() if name != "shown_column"}


def _github(findings: Sequence[Finding]) -> Iterator[str]:
    kinds = {"note": "notice"}
    for each in findings:
        column = f",col={each.column}" if each.column else ""
        remedy = f" ({each.remedy})" if each.remedy else ""
        file = _escaped(each.file).replace(":", "%3A").replace(",", "%2C")
        yield (
            f"::{kinds.get(each.grade, each.grade)} file={file},line={each.line}{column},"
            f"title={each.rule}::{_escaped(each.message + remedy)}"
        )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _sarif(findings: Sequence[Finding]) -> Iterator[str]:
    used = dict.fromkeys(each.rule for each in findings)
    rules = [{"id": rule, "shortDescription": {"text": _RULES.get(rule, rule)}} for rule in used]
    driver = {"name": "img ks", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_result(each) for each in findings]}
    yield json.dumps(
        {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}, indent=1
    )


def _result(each: Finding) -> dict[str, Any]:
    from urllib.parse import quote

    region: dict[str, Any] = {"startLine": max(each.line, 1), "snippet": {"text": each.text}}
    if each.column:
        region["startColumn"] = each.column
    return {
        "ruleId": each.rule,
        "level": each.grade,
        "message": {"text": each.message + (f" ({each.remedy})" if each.remedy else "")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(each.file)}, "region": region}}],
    }


FORMATS = {"text": _text, "json": _json, "sarif": _sarif, "github": _github}


def rendered(findings: Sequence[Finding], form: str) -> str:
    """All of them in one of FORMATS, with a line end if there is anything."""
    return "".join(f"{line}\n" for line in FORMATS[form](findings))
