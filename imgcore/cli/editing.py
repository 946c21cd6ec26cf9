# SPDX-License-Identifier: GPL-2.0-or-later
"""A text in the user's editor, kept where it can be found until it is no longer needed."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imgcore.cli.terminal import note
from imgcore.errors import InputError

__all__ = ["edited"]


@contextlib.contextmanager
def edited(content: bytes, suffix: str) -> Iterator[bytes]:
    """What the user makes of `content`; should the block fail, the text stays, and where it is is told.

    Raises InputError where there is no editor, where it fails, and where nothing was changed.
    """
    # Readable by its owner alone: a kickstart may hold passwords.
    descriptor, name = tempfile.mkstemp(prefix="img-", suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        _edit(path)
        made = _content(path)
        if made == content:
            raise InputError("nothing was changed", "leave out --edit to try the same once more")
        yield made
    except BaseException:
        if _content(path) in (content, b""):
            path.unlink(missing_ok=True)
        else:
            note(f"img: the edited text is in {path}")
        raise
    path.unlink(missing_ok=True)


def _content(path: Path) -> bytes:
    """What is in the file; nothing where the editor has removed it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _edit(path: Path) -> None:
    """Open the user's editor (environ(7): VISUAL, EDITOR; POSIX: vi), and wait for its end."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        argv = [*shlex.split(editor), str(path)]
    except ValueError as error:
        raise InputError(
            f"the editor's command {editor!r} cannot be read: {error}", "correct VISUAL or EDITOR"
        ) from error
    # Ctrl-C is the editor's; a handler, since what is ignored would be ignored there too.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        status = subprocess.run(argv, check=False).returncode
    except OSError as error:
        raise InputError(
            f"the editor {argv[0]} cannot be started: {error.strerror}", "set VISUAL or EDITOR"
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise InputError(f"the editor {argv[0]} ended with status {status}", "nothing was submitted")
