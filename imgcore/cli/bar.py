# SPDX-License-Identifier: GPL-2.0-or-later
"""The bar that a terminal gets: one line for the phase that runs."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich import progress as rich
from rich.console import Console

from imgcore.buildlog import printable
from imgcore.cli.terminal import Nothing
from imgcore.progress import Progress

__all__ = ["Bar"]


class Bar(Nothing):
    """Shows itself on standard error as long as its `with` lasts."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._bar = rich.Progress(
            rich.TextColumn("{task.fields[phase]:>12}", style="bold"),
            rich.BarColumn(bar_width=28),
            rich.TextColumn("{task.fields[count]:>9}", style="dim"),
            rich.TimeElapsedColumn(),
            rich.TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, phase="start", count="", detail="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def progress(self, progress: Progress) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            total=progress.total or None,
            completed=progress.done,
            phase=printable(progress.phase),
            count=f"{progress.done}/{progress.total}" if progress.total > 1 else "",
            detail=printable(progress.detail)[:40],
        )

    def log(self, line: str) -> None:
        """Print the line above the bar, where the log is wanted."""
        if self._verbose or line.startswith(("warning:", "Warning:")):
            self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
