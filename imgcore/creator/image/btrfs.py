# SPDX-License-Identifier: GPL-2.0-or-later
"""A btrfs file system with a directory's content, by mkfs.btrfs.

Not the same bytes every time: mkfs.btrfs numbers the files as the builder's own file system does, and takes
the device's UUID from /dev/urandom and times from the clock; it has no option against it. The build says so.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from imgcore.creator.image import tools
from imgcore.creator.image.content import Amount

__all__ = ["LABEL_BYTES", "NOT_REPRODUCIBLE", "make", "needed"]

LABEL_BYTES = 255
NOT_REPRODUCIBLE = "mkfs.btrfs cannot make the same bytes twice: this image is not reproducible"
_MIB = 1 << 20
#: What mkfs.btrfs asks for at the least with one copy of metadata.
_LEAST = 112 * _MIB


def make(file: Path, size: int, content: Path, label: str, identifier: uuid.UUID, epoch: int) -> None:
    """Make it as the whole of `file`, which is `size` bytes and zero."""
    argv = ["mkfs.btrfs", "-q", "-f", "-K", "-m", "single", "-d", "single", "-b", str(size), "-U", str(identifier)]
    argv += ["-L", label] if label else []
    tools.use([*argv, "--rootdir", str(content), str(file)], epoch, "makes btrfs file systems")


def needed(amount: Amount) -> int:
    """About how many bytes a file system for `amount` takes, in whole MiB."""
    used = amount.size + amount.files * 1024 + 24 * _MIB
    return max(_LEAST, -(-(used + used // 10) // _MIB) * _MIB)
