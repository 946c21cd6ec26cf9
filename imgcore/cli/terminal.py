"""How a build shows itself: a bar on a terminal, plain lines elsewhere, nothing when JSON is wanted."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from imgcore.buildlog import printable
from imgcore.progress import Observer, Progress

__all__ = ["Shown", "shown"]


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
    console = Console(stderr=True)
    if quiet:
        return _Nothing()
    return _Terminal(console, verbose) if console.is_terminal else _Lines(verbose)


class _Nothing:
    def __enter__(self) -> _Nothing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def progress(self, progress: Progress) -> None:
        return

    def log(self, line: str) -> None:
        return


class _Lines(_Nothing):
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
        if self._verbose or line.startswith("warning:"):
            click.echo(printable(line), err=True)


class _Terminal(_Nothing):
    """One bar for the phase that runs."""

    def __init__(self, console: Console, verbose: bool) -> None:
        self._verbose = verbose
        self._bar = Bar(
            TextColumn("{task.fields[phase]:>12}", style="bold"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]:>9}", style="dim"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, phase="start", count="", detail="")

    def __enter__(self) -> _Terminal:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def progress(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            total=progress.total or None,
            completed=progress.done,
            phase=printable(progress.phase),
            count=f"{progress.done}/{progress.total}" if progress.total > 1 else "",
            detail=printable(progress.detail)[:40],
        )

    def log(self, line: str) -> None:
        if self._verbose or line.startswith("warning:"):
            self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
