# SPDX-License-Identifier: GPL-2.0-or-later
"""Which accelerator truly works here: tried with the very kernel once, and remembered for this machine and kernel.

A device that can be opened, and even runs a few instructions, need not run a kernel: on a host that is a guest itself
one that does not was seen to hang without a word. A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from imgcore.executor.vm.initramfs import Kernel

__all__ = ["KVM", "WORKS", "Memory", "candidates", "usable"]

KVM = Path("/dev/kvm")
WORKS = "works"


class Memory:
    """What is known of a kernel on this machine, in a file that may be deleted at any time."""

    def __init__(self, place: Path, kernel: Kernel) -> None:
        self._path = place / "accelerators.json"
        self._identity = _identity(kernel)

    def verdict(self) -> str:
        """Why `kvm` does not work, WORKS where it does, "" where nobody tried."""
        known = self._known().get(self._identity, "")
        return known if isinstance(known, str) else ""

    def remember(self, verdict: str) -> None:
        """Keep it; where that is not possible the next machine tries again."""
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps({**self._known(), self._identity: verdict}, indent=1), encoding="utf-8")
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
