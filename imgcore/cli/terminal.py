# SPDX-License-Identifier: GPL-2.0-or-later
"""How a build shows itself: a bar on a terminal, plain lines elsewhere, nothing when JSON is wanted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import click

from imgcore.buildlog import printable
from imgcore.progress import Observer, Progress

__all__ = ["Nothing", "Shown", "note", "shown"]


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
        return _Forgiving(_Lines(verbose))
    # Only now: loading it takes as long as a fifth of the command's start.
    from imgcore.cli.bar import Bar

    return _Forgiving(Bar(verbose))


def note(text: str) -> None:
    """One line on standard error, where somebody can still read it."""
    try:
        click.echo(printable(text), err=True)
    except OSError:
        _give_up()


def _give_up() -> None:
    """Nobody can read standard error any more; what is still in its buffer must not be an error at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 2)


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


class _Forgiving(Nothing):
    """Shows as `shown` does, until that fails: a build does not end because nobody can look at it any more."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def __enter__(self) -> Self:
        self._try(self._shown.__enter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(lambda: self._shown.__exit__(kind, error, trace))

    def progress(self, progress: Progress) -> None:
        self._try(lambda: self._shown.progress(progress))

    def log(self, line: str) -> None:
        self._try(lambda: self._shown.log(line))

    def _try(self, show: Callable[[], object]) -> None:
        try:
            show()
        except OSError:  # the pipe's reader has gone, the terminal was closed, the disk is full
            self._shown = Nothing()
            _give_up()


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
