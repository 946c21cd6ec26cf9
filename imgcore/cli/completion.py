"""`img completion`: what a shell needs to complete `img`, from the same definitions as the commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from imgcore.errors import InputError

__all__ = ["command"]

_SHELLS = ("bash", "fish", "zsh")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: source it from ~/.bashrc, or put it into /etc/bash_completion.d/img
    zsh:  source it from ~/.zshrc
    fish: put it into ~/.config/fish/completions/img.fish
    """
    from imgcore.cli import group

    kind = get_completion_class(shell)
    if kind is None:
        raise InputError(f"{shell} is not a shell that completion is made for", f"choose one of {', '.join(_SHELLS)}")
    click.echo(kind(group, {}, "img", "_IMG_COMPLETE").source())
