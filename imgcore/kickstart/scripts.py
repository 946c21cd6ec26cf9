# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the shell scripts of a kickstart parse, by the shell itself (`bash -n`), which executes nothing of them;
and whether they end where others think they do.

Nothing of the environment reaches the shell, and its time and memory are bounded.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import time
from collections.abc import Sequence

from imgcore.kickstart.mistakes import Notes, shown
from imgcore.kickstart.model import ScriptSection

__all__ = ["check"]

_SHELLS = ("", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/sh")
#: Of all scripts together.
_SECONDS = 10
_MEMORY = 512 * 2**20
#: More different scripts than this are not parsed.
_MOST = 200
_TOLD = re.compile(r"^[^:]*: line (\d+): (.*)$")


def check(scripts: Sequence[ScriptSection], notes: Notes) -> None:
    """Note scripts with an %end of their own, and those that do not parse, with the first line that is wrong.

    Without a bash here nothing is parsed.
    """
    for script in scripts:
        _note_end(script, notes)
    shell = shutil.which("bash")
    if shell is None:
        return
    until = time.monotonic() + _SECONDS
    said: dict[str, str | None] = {"": None}
    for script in scripts:
        body = script.body if script.interpreter in _SHELLS and not script.body.isspace() else ""
        if body not in said:
            if len(said) > _MOST or time.monotonic() > until:
                what = "the scripts from here on are too many or too long to parse"
                notes.warning(script.place, what, rule="script")
                return
            said[body] = _said(shell, body, until - time.monotonic())
        if (wrong := said[body]) is not None:
            _note(script, wrong, notes)


def _note_end(script: ScriptSection, notes: Notes) -> None:
    for line, place in zip(script.body.split("\n"), script.places, strict=False):
        if line.split(None, 1)[:1] == ["%end"]:
            what = (
                f"%end in a here-document is one of %{script.kind}'s own lines, but other tools end the section here"
            )
            notes.warning(place, what, "write it with a space before, or with printf", word="%end", rule="script")
            return


def _note(script: ScriptSection, said: str, notes: Notes) -> None:
    told = next((found for line in said.splitlines() if (found := _TOLD.match(line.strip()))), None)
    # It may be said of the line behind the last one.
    places = (script.place, *script.places)
    place = places[min(int(told[1]), len(places) - 1)] if told else script.place
    what = shown(told[2] if told else said.strip() or "it takes too long to parse", 160)
    notes.warning(place, f"%{script.kind} does not parse: {what}", "see `bash -n`", rule="script")


def _said(shell: str, text: str, seconds: float) -> str | None:
    """What the shell says against a script; None if nothing."""
    try:
        done = subprocess.run(
            [shell, "--norc", "--noprofile", "-n", "/dev/stdin"],
            input=text.encode("utf-8", "surrogateescape"),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            cwd="/",
            capture_output=True,
            timeout=max(seconds, 0),
            check=False,
            preexec_fn=_bounded,
        )
    except subprocess.TimeoutExpired:
        return ""
    return None if done.returncode == 0 else done.stderr.decode("utf-8", "replace")


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
