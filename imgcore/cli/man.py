# SPDX-License-Identifier: GPL-2.0-or-later
"""`img man`: manual pages, from the same definitions as `--help`. The format is man(7)'s."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from imgcore import __version__
from imgcore.cli import options
from imgcore.errors import SpoolError

__all__ = ["command", "pages"]


@click.command("man")
@click.argument("directory", type=options.path)
def command(directory: Path) -> None:
    """Write the manual pages img.1, img-build.1, … into DIRECTORY."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in pages():
            (directory / name).write_text(text, encoding="utf-8")
            click.echo(directory / name)
    except OSError as error:
        raise SpoolError(f"{directory} cannot be written: {error.strerror}", "name another directory") from error


def pages() -> Iterator[tuple[str, str]]:
    """File name and content of each page."""
    from imgcore.cli import group

    yield from _pages(click.Context(group, info_name="img"))


def _pages(context: click.Context) -> Iterator[tuple[str, str]]:
    """The page of a command, then those of its subcommands."""
    below = list(_subcommands(context))
    listing = [(each.command_path, each.command.get_short_help_str(100)) for each in below]
    around = [*([context.parent] if context.parent else []), *below]
    see_also = ", ".join(f"{_title(each)}(1)" for each in around)
    more = [*_section("COMMANDS", listing), ".SH SEE ALSO", _text(see_also)]
    yield f"{_title(context)}.1", _page(context, _title(context), more)
    for each in below:
        yield from _pages(each)


def _subcommands(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield click.Context(command, info_name=name, parent=context)


def _title(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context, title: str, more: list[str]) -> str:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{title.upper()}" "1" "" "imager {__version__}" "User Commands"',
        ".SH NAME",
        f"{_text(title)} \\- {_text(command.get_short_help_str(200).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(context.command_path)}",
        _text(usage),
        ".SH DESCRIPTION",
    ]
    for paragraph in (command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines += [".nf", *(_text(line) for line in paragraph.splitlines()[1:]), ".fi"]
        else:
            lines += [_text(" ".join(paragraph.split())), ".PP"]
    given = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    rows = [row for row in (each.get_help_record(context) for each in given) if row]
    return "\n".join([*lines, *_section("OPTIONS", rows), *more]) + "\n"


def _section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    lines = [f".SH {title}"] if rows else []
    for term, text in rows:
        lines += [".TP", f".B {_text(term)}", _text(text)]
    return lines


def _text(text: str) -> str:
    """Text that roff takes literally."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
