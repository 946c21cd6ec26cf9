# SPDX-License-Identifier: GPL-2.0-or-later
"""`img completion`: what a shell needs to complete `img`, and the words that it completes from the spool.

Completing never complains: without a spool, or with a damaged one, there is nothing to complete.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from imgcore.errors import ImagerError, InputError

if TYPE_CHECKING:
    from imgcore.spool import Spool

__all__ = ["command", "image_names", "jobs", "tags"]

_SHELLS = ("bash", "fish", "zsh")
_MOST = 200
#: Names and tags are those of so many jobs, the newest.
_LOOKED_AT = 500
#: As click's own, but bash parts words at `@`, `:` and `=`: they are joined before, and of an answer only what
#: comes behind the last of these is given back, for that is what bash puts in.
_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' rest=$COMP_LINE words=() at current=0 word breaks begun="" line
    for at in "${!COMP_WORDS[@]}"; do
        word=${COMP_WORDS[at]}
        if [[ ${#words[@]} -gt 0 && $rest != [[:space:]]* ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%%%[![:space:]]*}"}
        rest=${rest#"$word"}
        [[ $at -eq $COMP_CWORD ]] && current=$((${#words[@]} - 1))
    done
    word=${words[current]}
    [[ $word == --*=* ]] && word=${word#*=}
    breaks=${COMP_WORDBREAKS//[^@:=]/}
    [[ -n $breaks ]] && begun=${word%%"${word##*[$breaks]}"}
    COMPREPLY=()
    for line in $(COMP_WORDS="${words[*]}" COMP_CWORD=$current %(complete_var)s=bash_complete "$1"); do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) line=${line#plain,}; COMPREPLY+=("${line#"$begun"}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: source it from ~/.bashrc, or put it into /etc/bash_completion.d/img
    zsh:  source it from ~/.zshrc
    fish: put it into ~/.config/fish/completions/img.fish
    """
    from click.shell_completion import get_completion_class

    from imgcore.cli import group

    kind = get_completion_class(shell)
    if kind is None:
        raise InputError(f"{shell} is not a shell that completion is made for", f"choose one of {', '.join(_SHELLS)}")
    script = kind(group, {}, "img", "_IMG_COMPLETE")
    click.echo(_BASH % script.source_vars() if shell == "bash" else script.source())


def jobs(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """What can name a job: ids, the newest first, and `NAME@` with what can stand there."""
    from imgcore.job import Status
    from imgcore.jobs.choosing import SUFFIXES

    def found(spool: Spool) -> list[str]:
        named = [f"{name}@{suffix}" for name in _names(spool) for suffix in SUFFIXES] if "@" in begun else []
        ids = (each for each in spool.index.newest(Status) if each.startswith(begun))
        return [*(each for each in named if each.startswith(begun)), *itertools.islice(ids, _MOST)]

    return _from_spool(context, found)


def image_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The names of images."""
    return _from_spool(context, lambda spool: [each for each in _names(spool) if each.startswith(begun)])


def tags(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Tags that jobs have."""

    def found(spool: Spool) -> list[str]:
        newest = itertools.islice(spool.newest(), _LOOKED_AT)
        return sorted({tag for job in newest for tag in job.tags if tag.startswith(begun)})

    return _from_spool(context, found)


def _names(spool: Spool) -> list[str]:
    return sorted({job.name for job in itertools.islice(spool.newest(), _LOOKED_AT)})


def _from_spool(context: click.Context, find: Callable[[Spool], list[str]]) -> list[str]:
    from imgcore.cli import options
    from imgcore.spool import Spool

    # No warning either.
    logging.disable()
    with suppress(ImagerError, OSError):
        config = options.load(context.params.get("config_file"), spool=context.params.get("spool"))
        return find(Spool(config.spool, create=False))
    return []
