# SPDX-License-Identifier: GPL-2.0-or-later
"""Which accelerator truly works here: tried with the very kernel once, and remembered for this machine and kernel.

A device that can be opened, and even runs a few instructions, need not run a kernel: on a host that is a guest itself
one that does not was seen to hang without a word. A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from imgcore.executor.vm.initramfs import Kernel

__all__ = ["KVM", "WORKS", "Memory", "candidates", "usable"]

KVM = Path("/dev/kvm")
WORKS = "works"
#: Seconds for which one that does not work is not tried again: what was in its way may be gone.
_BAD_SECONDS = 86400.0


class Memory:
    """What is known of a kernel on this machine, in a file that may be deleted at any time."""

    def __init__(self, place: Path, kernel: Kernel) -> None:
        self._path = place / "accelerators.json"
        self._identity = _identity(kernel)

    def verdict(self) -> str:
        """Why `kvm` does not work, WORKS where it does, "" where nobody tried, or did long ago."""
        known = self._known().get(self._identity)
        if not isinstance(known, dict):
            return ""
        verdict, at = known.get("verdict"), known.get("at")
        if not isinstance(verdict, str) or not isinstance(at, int | float):
            return ""
        return verdict if verdict == WORKS or 0 <= time.time() - at < _BAD_SECONDS else ""

    def remember(self, verdict: str) -> None:
        """Keep it; where that is not possible the next machine tries again."""
        self._write({**self._known(), self._identity: {"verdict": verdict, "at": int(time.time())}})

    def forget(self) -> None:
        """Have the next machine try again."""
        self._write({key: value for key, value in self._known().items() if key != self._identity})

    def _write(self, known: dict[str, object]) -> None:
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(known, indent=1), encoding="utf-8")
            partial.replace(self._path)

    def _known(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(told, dict):
                return told
        return {}


def usable() -> bool:
    """Whether this user may open the device."""
    return os.access(KVM, os.R_OK | os.W_OK)


def candidates(wanted: str, verdict: str) -> Iterator[str]:
    """What to try, in this order. `wanted`: kvm, tcg, or auto."""
    if wanted != "auto":
        yield wanted
        return
    if usable() and verdict in ("", WORKS):
        yield "kvm"
    yield "tcg"


def _identity(kernel: Kernel) -> str:
    status = kernel.image.stat()
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in _text("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    machine = _text("/etc/machine-id").strip() or _text("/proc/sys/kernel/random/boot_id").strip()
    return f"{machine} {os.uname().release} {processor}: {kernel.image} {status.st_size} {status.st_mtime_ns}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
