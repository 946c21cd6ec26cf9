# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of commands that are imported when they are used: one file a command, whose `command` it is.

Each package of an installation brings some of the code, so a command may lack what it needs; it is listed all the
same, and raises the ImportError when it is used.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

import click

__all__ = ["group_of"]

#: No sentence of ours is longer: the help breaks lines, and cuts nothing.
_SENTENCE = 200


def group_of(package: str, commands: Sequence[str] | Mapping[str, Sequence[str]]) -> type[click.Group]:
    """The kind of group that has these commands, in this order; each is a module of `package`.

    With a mapping the help lists them under its headings.
    """
    sections = commands if isinstance(commands, Mapping) else {"Commands": commands}
    names = [name for listed in sections.values() for name in listed]

    class Lazy(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return names

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            for title, listed in sections.items():
                found = [(name, self.get_command(ctx, name)) for name in listed]
                rows = [(name, command.get_short_help_str(_SENTENCE)) for name, command in found if command]
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=max(map(len, names)) + 2)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in names:
                return None
            # A word of Python cannot be the name of a module, nor can one with a dash.
            module = f"{cmd_name}ing" if keyword.iskeyword(cmd_name) else cmd_name.replace("-", "_")
            try:
                found: click.Command = import_module(f"{package}.{module}").command
            except ImportError as error:
                found = _lacking(cmd_name, error)
            return found

    return Lazy


def _lacking(name: str, error: ImportError) -> click.Command:
    """Stands for a command whose code is not all there."""

    def tell() -> NoReturn:
        raise error

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, anything, tell, help="(not installed)", add_help_option=False)
