# SPDX-License-Identifier: GPL-2.0-or-later
"""What of this machine a tool reads: local repositories, their keys and mirror lists, and where its sandbox has them.

Whoever wrote the kickstart names them, and is not to see what else is here. So a directory is shown where it is a
repository, with all that is in it; of a file the content is handed in, where it is a public key or a list of mirrors.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imgcore.executor import INPUTS, READABLE

__all__ = ["Shown"]

_KEY = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_METALINK = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<metalink\b")
#: None with a password: git's file of them has one in each line.
_MIRROR = re.compile(rb"[a-z]+://[^\s@]+")
#: Lists of mirrors of the largest distributions have a tenth of it.
_FILE_BYTES = 1 << 20


class Shown:
    """What is shown so far: directories for `Task.readable`, files for `Task.inputs`."""

    def __init__(self) -> None:
        self.directories: list[Path] = []
        self.files: dict[str, bytes] = {}

    def inside(self, url: str, *, whole: bool) -> str:
        """The URL by which the sandbox finds what is at a file: URL; `whole`: it is a directory, not a file.

        What is not there, or not shown, keeps its URL: the tool says that it does not find it.
        """
        path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path()
        if not path.is_absolute():
            return url
        place = self._directory(path) if whole else self._file(path)
        return "file://" + quote(place) if place else url

    def _directory(self, path: Path) -> str:
        if not (path / "repodata/repomd.xml").is_file():
            return ""
        if path not in self.directories:
            self.directories.append(path)
        return f"{READABLE}/{self.directories.index(path)}"

    def _file(self, path: Path) -> str:
        content = _public(_content(path))
        if not content:
            return ""
        name = f"{len(self.files)}-{path.name}"
        self.files[name] = content
        return f"{INPUTS}/{name}"


def _content(path: Path) -> bytes:
    """Of a regular file that is not too large; else nothing."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            content = file.read(_FILE_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except (OSError, ValueError):
        return b""
    return content if len(content) <= _FILE_BYTES else b""


def _public(content: bytes) -> bytes:
    """What of a file may be handed in: its public keys or mirrors; else nothing."""
    if keys := _KEY.findall(content):
        return b"".join(each + b"\n" for each in keys)
    lines = [line for each in content.splitlines() if (line := each.strip()) and not line.startswith(b"#")]
    if all(map(_MIRROR.fullmatch, lines)):
        return b"".join(each + b"\n" for each in lines)
    return content if _METALINK.match(content) else b""
