# SPDX-License-Identifier: GPL-2.0-or-later
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
from imgcore.cli.lazy import group_of
from imgcore.cli.terminal import note
from imgcore.errors import ImagerError

__all__ = ["group", "main"]

#: What there is, under what somebody looks for it.
_COMMANDS = {
    "Build here": ("build", "ks", "vm"),
    "Build with a farm": ("submit", "queue", "worker", "workers", "keeper"),
    "See": ("jobs", "show", "log", "files", "find", "diff", "stats", "top", "report"),
    "Steer": ("cancel", "retry", "pin", "unpin", "tag", "export", "import", "gc"),
    "Look after it": ("setup", "doctor", "config", "fsck", "notify", "completion", "man"),
}
_LONGEST = 400


@click.group(
    cls=group_of(__name__, _COMMANDS), no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="img")
def group() -> None:
    """Make operating-system images from kickstart files.

    Each image is a job: its record, log and history are plain files in a spool, its image, manifest and log
    are put below the base directory. `img COMMAND --help` tells more about a command.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `img` and leave the process with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_standard_files()
    try:
        code = group.main(args=given, prog_name="img", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except ImagerError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = (
            context.command_path
            if context is not None
            else " ".join(["img", *(each for each in given[:1] if each in sum(_COMMANDS.values(), ()))])
        )
        # click shows a wrong value as long as it is.
        _complain(f"{_cut(error.format_message())} (see `{path} --help`)")
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _complain("cancelled")
        sys.exit(130)
    except ImportError as error:
        _complain(f"this part is not installed: {error.msg} (the package imager has all parts)")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone; a complaint at the end of the process would be about nothing.
        _drop_output()
        sys.exit(1)
    except OSError as error:
        _drop_output()
        _complain(f"{error.filename or 'standard output'} cannot be used: {error.strerror} (free space, or look "
                  "at its permissions)")  # fmt: skip
        sys.exit(1)


def _open_standard_files() -> None:
    """See to it that 0, 1 and 2 are open, so that no file of ours gets a number that somebody prints to."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _drop_output() -> None:
    """What is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _complain(text: str) -> None:
    note(f"img: {' '.join(text.split())}")
