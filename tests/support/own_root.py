# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command where user namespaces work, also in a chroot: `python own_root.py COMMAND…`.

The kernel gives a process in a chroot no user namespace, so there the tests would not see what most machines
are. With root's help (root itself, or sudo) the chroot's directory becomes the root of a mount namespace of the
command's own. Anywhere else the command simply runs.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from imgcore.executor import kernel
from imgcore.executor.choose import user_namespaces_work

_KEPT = ("HOME", "PATH", "USER", "LOGNAME", "LANG", "TERM", "CI", "PYTHONUNBUFFERED", "NPM_CONFIG_GLOBALCONFIG")


def main() -> None:
    """Become the command."""
    # A shell starts what is in its background deaf to Ctrl-C, which tests press.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    as_user = sys.argv[1:2] == ["--as"]
    command = sys.argv[4:] if as_user else sys.argv[1:]
    if os.geteuid() != 0 and not user_namespaces_work():
        kept = [f"{name}={os.environ[name]}" for name in os.environ if name in _KEPT or name.startswith("IMAGER_")]
        again = [sys.executable, __file__, "--as", str(os.getuid()), str(os.getgid()), *command]
        os.execvp("sudo", ["sudo", "-n", "--", "env", *kept, *again])
    if os.geteuid() == 0 and not user_namespaces_work():
        here = Path.cwd()
        kernel.unshare(kernel.NEW_MOUNTS)
        kernel.move_to_own_root()
        os.chdir(here)
    if as_user:
        uid, gid = sys.argv[2:4]
        command = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--", *command]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
