"""How a build shows itself: a bar on a terminal, plain lines elsewhere, nothing when JSON is wanted."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, Self

import click

from imgcore.buildlog import printable
from imgcore.progress import Observer, Progress

__all__ = ["Nothing", "Shown", "shown"]


class Shown(Observer, Protocol):
    """An observer that is a `with`."""

    def __enter__(self) -> Shown:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""


def shown(*, quiet: bool, verbose: bool) -> Shown:
    """What fits to where standard error goes."""
    if quiet:
        return Nothing()
    if not sys.stderr.isatty():
        return _Lines(verbose)
    # Only now: loading it takes as long as a fifth of the command's start.
    from imgcore.cli.bar import Bar

    return Bar(verbose)


class Nothing:
    """Shows nothing, and is what the others begin with."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def progress(self, progress: Progress) -> None:
        """Ignore it."""

    def log(self, line: str) -> None:
        """Ignore it."""


class _Lines(Nothing):
    """A line a phase, with the time since the start; the whole log where it is wanted."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._began = time.monotonic()
        self._phase = ""

    def progress(self, progress: Progress) -> None:
        if progress.phase != self._phase and not self._verbose:
            self._phase = progress.phase
            total = f" ({progress.total})" if progress.total > 1 else ""
            click.echo(f"[{time.monotonic() - self._began:6.1f} s] {progress.phase}{total}", err=True)

    def log(self, line: str) -> None:
        if self._verbose or line.startswith(("warning:", "Warning:")):
            click.echo(printable(line), err=True)
