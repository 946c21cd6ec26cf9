# SPDX-License-Identifier: GPL-2.0-or-later
"""Text that is shown anew again and again, on the whole terminal, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from imgcore.errors import InputError

__all__ = ["live"]

_SECONDS = 2.0


def live(lines: Callable[[int, int], list[str]], seconds: float = _SECONDS) -> None:
    """Show what `lines(width, height)` returns, every so many seconds. Raises InputError without a terminal."""
    if not sys.stdout.isatty():
        raise InputError("there is no terminal to show this on", "leave out --watch, or use --json")
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)

    def shown() -> Text:
        # A line less than there are: the last would scroll.
        width, height = console.size
        return Text.from_ansi("\n".join(lines(width, height - 2)), no_wrap=True, overflow="ellipsis")

    try:
        with Live(shown(), console=console, screen=True, auto_refresh=False) as display:
            while True:
                time.sleep(seconds)
                display.update(shown(), refresh=True)
    except KeyboardInterrupt:
        return
