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

    context = click.Context(group, info_name="img")
    commands = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    known = [(name, each) for name, each in commands if each is not None]
    listing = [(f"img {name}", each.get_short_help_str(100)) for name, each in known]
    see_also = ", ".join(f"img-{name}(1)" for name, _ in known)
    yield "img.1", _page(context, "img", [*_section("COMMANDS", listing), ".SH SEE ALSO", _text(see_also)])
    for name, each in known:
        below = click.Context(each, info_name=name, parent=context)
        yield f"img-{name}.1", _page(below, f"img-{name}", [".SH SEE ALSO", "img(1)"])


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
    rows = [row for row in (each.get_help_record(context) for each in command.get_params(context)) if row]
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
