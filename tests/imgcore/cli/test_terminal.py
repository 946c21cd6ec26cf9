# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/terminal.py and imgcore/cli/bar.py."""

import os
import pty
import subprocess
import sys
from pathlib import Path

SHOW = """
import sys
from imgcore.cli.terminal import shown
from imgcore.progress import Progress
with shown(quiet=sys.argv[1] == "quiet", verbose=sys.argv[1] == "verbose") as observer:
    observer.progress(Progress("install", 1, 7, "bash-5.2"))
    observer.log("[imager install 1/7] bash-5.2")
    observer.log("warning: old\\x1b[2J")
    observer.progress(Progress("install", 2, 7))
print("rich" in sys.modules)
"""


def show(how: str, error: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHOW, how], stdout=subprocess.PIPE, stderr=error, text=True, check=True,
        cwd=Path(__file__).parents[3], env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip


def on_a_terminal(how: str) -> tuple[str, str]:
    """Standard output, and what the terminal got."""
    ours, theirs = pty.openpty()
    done = show(how, theirs)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 1 << 16):
            seen += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return done.stdout, seen.decode()


def test_a_pipe_gets_a_line_a_phase_and_the_warnings_and_loads_no_bar() -> None:
    done = show("")
    assert done.stdout == "False\n"
    first, *rest = done.stderr.splitlines()
    assert first.endswith("s] install (7)")
    assert rest == ["warning: old"]


def test_verbose_shows_the_log_itself() -> None:
    assert show("verbose").stderr.splitlines() == ["[imager install 1/7] bash-5.2", "warning: old"]


def test_a_terminal_gets_a_bar_with_phase_and_count_and_the_warnings_above_it() -> None:
    output, seen = on_a_terminal("")
    assert output == "True\n"
    assert "install" in seen
    assert "2/7" in seen
    assert "warning: old" in seen
    assert "\x1b[2J" not in seen


def test_quiet_shows_nothing() -> None:
    assert show("quiet").stderr == ""
    assert on_a_terminal("quiet") == ("False\n", "")
