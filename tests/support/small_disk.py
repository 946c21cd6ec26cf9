# SPDX-License-Identifier: GPL-2.0-or-later
"""Run Python in a child that has a small tmpfs of its own, in a mount namespace of its own.

Works as root and, where the kernel allows user namespaces, as a user. Nothing is left: the mount goes with the child.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["run"]

_PRELUDE = """
import errno, os, subprocess, sys
from pathlib import Path
disk = Path(sys.argv[1])

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

def fill():
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC

mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk))
"""


def run(script: str, mount_point: Path) -> str:
    """Run `script` (it sees `disk`, `mount(…)` and `fill()`); returns what it prints. Fails as it fails."""
    entry = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*entry, sys.executable, "-c", _PRELUDE + textwrap.dedent(script), str(mount_point)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
