"""The command `img`: one file a command, and what all of them share.

Exit codes: 0 done, 1 it failed, 2 wrong use or bad input, 130 cancelled. Data goes to standard output, all
else to standard error; an error is one line that says what was wrong and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from imgcore import __version__
from imgcore.buildlog import printable
from imgcore.errors import ImagerError

__all__ = ["group", "main"]

_COMMANDS = ("build", "report", "fsck", "doctor", "completion", "man")


class _Lazy(click.Group):
    """Imports a command when it is used: `img --help` should not wait for all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = __import__(f"imgcore.cli.{cmd_name}", fromlist=["command"])
        found: click.Command = module.command
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="img")
def group() -> None:
    """Make operating-system images from kickstart files.

    Each image is a job: its record, log and history are plain files in a spool, its image, manifest and log
    are put below the base directory. `img COMMAND --help` tells more about a command.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `img` and leave the process with its exit code."""
    try:
        code = group.main(
            args=list(arguments) if arguments is not None else None, prog_name="img", standalone_mode=False
        )
        sys.exit(code if isinstance(code, int) else 0)
    except ImagerError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        _complain(error.format_message() + hint)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _complain("cancelled")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone; a complaint at the end of the process would be about nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _complain(text: str) -> None:
    click.echo(f"img: {printable(' '.join(text.split()))}", err=True)
