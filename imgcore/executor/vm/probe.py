# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in a base image: asked in a machine of it, by a few lines of shell that need nothing of it to run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgcore.errors import BuildError
from imgcore.executor import Executor, Limits, Task

__all__ = ["COMMANDS", "probe"]

#: Programs that building images may take, by the tools that use them.
_PROGRAMS = (
    "mic", "mic-image-creator", "mke2fs", "mkfs.vfat", "mkfs.btrfs", "mcopy", "sfdisk", "grub-mkimage", "kpartx",
    "dmsetup", "losetup", "tar", "zstd", "xz", "bzip2",
)  # fmt: skip
_MARK = "imager-base "
_SCRIPT = f"""
b=/imager/busybox
$b head -c 4096 /etc/os-release | while read -r line; do echo "{_MARK}os $line"; done
echo "{_MARK}python $(/usr/bin/python3 -I -c 'import platform; print(platform.python_version())' 2>/dev/null)"
for each in {" ".join(_PROGRAMS)}; do
    for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        [ ! -x "$place/$each" ] || echo "{_MARK}program $each"
    done
done
why=$(/usr/bin/python3 -I -B -c \
    'import sys; sys.path.insert(0, "/imager/lib"); import dnf, rpm, imgcore.creator.main' 2>&1)
echo "{_MARK}builtin $? $(echo "$why" | $b tail -n 1)"
exit 0
"""
#: The tool that asks, as the executor is to know it.
COMMANDS: Mapping[str, tuple[str, ...]] = {"probe": ("/imager/busybox", "sh", "-c", _SCRIPT)}
_LIMITS = Limits(processes=1000, seconds=600)
_LONGEST = 200


def probe(executor: Executor, cache: Path, on_line: Callable[[str], None]) -> dict[str, Any]:
    """Start a machine with `executor`, which knows COMMANDS; what it tells of itself. Raises BuildError.

    `os`: its name for people, and `id` and `version` as os-release(5) has them; `python`: of /usr/bin/python3, or
    empty; `builtin`: empty where Imager's own creator can run, or why it cannot; `programs`: those of interest.
    """
    heard = _Heard(on_line)
    with executor.run(Task("probe", (), {}, cache, limits=_LIMITS), heard, threading.Event()) as outcome:
        pass
    if outcome.status or outcome.signal or outcome.stopped_by or heard.builtin is None:
        raise BuildError(
            "a machine of this base image starts, but does not say what it is: "
            + (outcome.stopped_by or heard.last or f"status {outcome.status}"),
            "see `img vm shell --base`",
        )
    return {
        "os": heard.release.get("PRETTY_NAME", heard.release.get("NAME", "")),
        "id": heard.release.get("ID", ""),
        "version": heard.release.get("VERSION_ID", ""),
        "python": heard.python,
        "builtin": heard.builtin,
        "programs": heard.programs,
    }


class _Heard:
    """Hears of the machine; whoever made the base may have it say anything."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self.release: dict[str, str] = {}
        self.python = ""
        self.builtin: str | None = None
        self.programs: list[str] = []
        self.last = ""

    def line(self, text: str) -> None:
        """See `Receiver.line`."""
        self.last = text = "".join(each for each in text if each.isprintable())[:_LONGEST]
        kind, _, said = text.removeprefix(_MARK).partition(" ")
        if not text.startswith(_MARK):
            self._on_line(text)
        elif kind == "os":
            name, _, value = said.partition("=")
            self.release[name] = value.strip("\"'")
        elif kind == "python":
            self.python = said
        elif kind == "program" and said in _PROGRAMS and said not in self.programs:
            self.programs.append(said)
        elif kind == "builtin":
            status, _, why = said.partition(" ")
            self.builtin = "" if status == "0" else why if self.python else "it has no /usr/bin/python3"

    def sample(self, cpu_seconds: float, memory_bytes: int, disk_bytes: int, processes: int) -> None:
        """See `Receiver.sample`; nobody asks."""

    def file(self, name: str, size: int, mode: int) -> None:
        """See `Receiver.file`; none is wanted."""

    def data(self, offset: int, content: bytes) -> None:
        """See `Receiver.data`; none is wanted."""
