# SPDX-License-Identifier: GPL-2.0-or-later
"""A notification on the desktop of who waits for a build at a terminal, by notify-send where that is installed.

Only then: what is built by a script, or where there is no display, tells nobody that way. Nobody waits for it.
"""

from __future__ import annotations

import contextlib
import html
import os
import shutil
import subprocess
import sys

from imgcore.buildlog import printable
from imgcore.job import GOOD, Job

__all__ = ["tell"]

_DISPLAYS = ("WAYLAND_DISPLAY", "DISPLAY")
_LONGEST = 300


def tell(job: Job) -> None:
    """Show how the job has ended."""
    program = shutil.which("notify-send")
    if program is None or not sys.stderr.isatty() or not any(os.environ.get(each) for each in _DISPLAYS):
        return
    said = printable(job.error or job.image_id)[:_LONGEST]
    urgency = "normal" if job.status in GOOD else "critical"
    # The text may have markup (the freedesktop.org notification specification), the summary has none.
    words = [f"--urgency={urgency}", "--app-name=Imager", "--", f"{job.name}: {job.status}", html.escape(said)]
    with contextlib.suppress(OSError):
        subprocess.Popen(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
