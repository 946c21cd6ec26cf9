# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's daemons where no service manager runs them: in a container, or for a user of its own.

They are kept by a small process that takes in their orphans, which QEMU's processes are: libvirt waits for a process
that it ended until it is gone, and the first process of a container may never clear it away (prctl(2),
PR_SET_CHILD_SUBREAPER). All of them end when there was nothing to do for a while. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from imgcore.executor import kernel
from imgcore.executor.vm.accelerators import KVM

__all__ = ["join", "main", "start"]

#: Seconds without a machine after which libvirtd ends.
_IDLE = "120"
_PACKAGE = Path(__file__).resolve().parents[3]
_START = (
    f"import sys; sys.path.insert(0, {str(_PACKAGE)!r}); "
    "from imgcore.executor.vm.daemons import main; sys.exit(main(sys.argv[1:]))"
)
#: Seconds that libvirtd may take to end; it was seen to wait for itself for ever (9.0), its sockets gone already.
_END_SECONDS = 20.0
#: The thread of libvirtd that there is while it ends.
_ENDING = "daemon-shutdown"
#: In a /dev that is our daemons' own.
_OURS = Path("/dev/.imager")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def start(names: Sequence[str]) -> None:
    """Start the daemons `names` as this user. Raises OSError."""
    kept = {name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME") if name in os.environ}
    subprocess.Popen(
        [sys.executable, "-I", "-c", _START, *names],
        env={"PATH": _PATH, "LANG": "C.UTF-8", **kept},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def join(listener: socket.socket, *, kvm: bool) -> None:
    """Enter the mount namespace of who listens at the other end: it shall see what this process mounts.

    `kvm`: whether it shall see /dev/kvm, if `start` started it. A device that is there and does not work makes
    libvirt ask QEMU anew what it can before each machine, which takes seconds. For a process with one thread, which
    is root. Raises OSError.
    """
    device = KVM.stat() if KVM.exists() else None
    pid, _, _ = struct.unpack("3i", listener.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(theirs).st_ino != Path("/proc/self/ns/mnt").stat().st_ino:
            kernel.enter(theirs, kernel.NEW_MOUNTS)
    finally:
        os.close(theirs)
    if not _OURS.exists():
        return
    if not kvm:
        KVM.unlink(missing_ok=True)
    elif device is not None and not KVM.exists():
        _make_node(KVM, device)


def main(names: Sequence[str]) -> int:
    """Keep the daemons `names`, and clear away what they leave, until the last of them has ended."""
    kernel.take_in_orphans()
    if os.geteuid() == 0:
        # libvirtd gives each QEMU a mount namespace, which the kernel refuses where / is no mount, as in a chroot.
        with contextlib.suppress(OSError):
            kernel.unshare(kernel.NEW_MOUNTS)
            kernel.move_to_own_root()
            if KVM.exists():
                _own_devices()
    # What is blocked can be waited for, up to a time.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    # The first ones serve the last one.
    children = {}
    for name in names:
        options = ["--timeout", _IDLE] if name == names[-1] else []
        with contextlib.suppress(OSError):
            children[name] = os.posix_spawnp(name, [name, *options], os.environ, setsigmask=())
    last = children.pop(names[-1], 0)
    failed = last and os.waitstatus_to_exitcode(_await(last)) > 0
    for each in [] if failed else children.values():
        # Where the last one failed, as it does when another is there already, that one may need them.
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGTERM)
    return 0 if last else 1


def _await(daemon: int) -> int:
    """Clear away whatever ends, until `daemon` does, which is helped where it cannot; its status for wait(2)."""
    ending = 0.0
    while True:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == daemon:
                return ended[1]
        signal.sigtimedwait({signal.SIGCHLD}, 1.0)
        if _is_ending(daemon):
            ending = ending or time.monotonic()
            if time.monotonic() - ending > _END_SECONDS:
                os.kill(daemon, signal.SIGKILL)


def _is_ending(daemon: int) -> bool:
    with contextlib.suppress(OSError):
        threads = Path(f"/proc/{daemon}/task").glob("*/comm")
        return any(each.read_text(encoding="utf-8", errors="replace").strip() == _ENDING for each in threads)
    return False


def _own_devices() -> None:
    """Give this process' mount namespace a /dev of its own, which `join` can take a device from.

    Something mounted over that will not do: libvirt moves every mount below /dev into the namespace of each QEMU.
    """
    with tempfile.TemporaryDirectory() as made:
        kernel.mount("tmpfs", made, "mode=755", devices=True)
        try:
            _copy_nodes(Path("/dev"), Path(made))
            Path(made, _OURS.name).touch()
            # libvirt fails over mounts that are listed but covered by others.
            with contextlib.suppress(OSError):
                kernel.detach("/dev")
            kernel.bind(made, "/dev", recursive=True)
        finally:
            kernel.detach(made)


def _copy_nodes(directory: Path, target: Path) -> None:
    for each in directory.iterdir():
        status, made = each.lstat(), target / each.name
        if stat.S_ISLNK(status.st_mode):
            made.symlink_to(each.readlink())
        elif stat.S_ISDIR(status.st_mode):
            made.mkdir()
            if each.is_mount():
                kernel.bind(str(each), str(made), recursive=True)
            else:
                _copy_nodes(each, made)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            _make_node(made, status)


def _make_node(path: Path, like: os.stat_result) -> None:
    os.mknod(path, stat.S_IFMT(like.st_mode) | 0o600, like.st_rdev)
    os.chown(path, like.st_uid, like.st_gid)
    path.chmod(stat.S_IMODE(like.st_mode))
