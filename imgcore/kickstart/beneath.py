# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of a directory that cannot be left: not by `..`, not through links, not by a link put there meanwhile.

Whoever asks has followed the links and seen that the real path is below the directory. The file is then opened step
by step from there on, and a link found on that way was put there since, and is refused. What is no regular file is
not read. A leaf.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["content"]

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: the name could be a pipe that nobody writes to.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def content(root: Path, relative: Path, most: int) -> bytes:
    """Up to `most` bytes of the file that is really at `relative` below `root`. Raises OSError."""
    handle = os.open(os.path.realpath(root), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in relative.parts[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
        inner = os.open(relative.name, _FILE, dir_fd=handle)
        os.close(handle)
        handle = inner
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)
