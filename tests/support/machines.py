# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines for tests: real ones, whose tool is a few lines of shell that run as the machine's root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from imgcore.executor.vm import domain
from tests.support import sandboxes

__all__ = ["URI", "left", "run", "start"]

URI = domain.SYSTEM if os.geteuid() == 0 else domain.SESSION
_START = (
    f"import sys; sys.path.insert(0, {str(sandboxes.REPOSITORY)!r}); "
    "from imgcore.executor.vm.launcher import main; sys.exit(main())"
)


def start() -> list[str]:
    """The launcher's command."""
    return [sandboxes.PYTHON, "-I", "-c", _START]


def run(script: str, cache: Path, *options: str, inputs: dict[str, bytes] | None = None) -> sandboxes.Said:
    """Run `script` in a machine to its end, as a tool that is root there."""
    tool = ["--tool=shell", "--command=/bin/sh", "--command=-c", f"--command={script}", "--accelerator=tcg"]
    return sandboxes.run(start(), cache, *tool, *options, inputs=inputs)


def left() -> list[str]:
    """What machines have left on this host, in this PID namespace: others may have their own machines meanwhile."""
    found = subprocess.run(
        ["virsh", "-c", URI, "list", "--all", "--name"], capture_output=True, text=True, check=True
    )
    domains = [name for name in found.stdout.split() if name.startswith("imager-")]
    places = [str(each) for top in ("/var/tmp", "/tmp") for each in Path(top).glob("imager-vm-*")]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if "imager-vm-" in line]
    processes = []
    for each in Path("/proc").iterdir():
        try:
            ours = each.name.isdecimal() and (each / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
            words = (each / "cmdline").read_bytes().split(b"\0") if ours else []
        except OSError:
            continue
        if b"qemu-system" in words[0] if words else False:
            processes += [word.decode() for word in words if word.startswith(b"guest=imager-")]
    return domains + places + mounts + processes
