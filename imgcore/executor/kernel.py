# SPDX-License-Identifier: GPL-2.0-or-later
"""The few calls to the Linux kernel that Python 3.11 has no name for. A leaf: standard library only.

Each raises OSError as the call itself would. References: the manual pages unshare(2), mount(2),
mount_setattr(2), open_tree(2), move_mount(2) and prctl(2); the call numbers are the same on every
architecture (they are of the unified table, from number 424 on).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

__all__ = [
    "NEW_IPC", "NEW_MOUNTS", "NEW_PIDS", "NEW_USER", "NEW_UTS", "bind", "detach", "die_with_parent", "enter",
    "drop_from_bounding_set", "no_new_privileges", "mount", "move_to_own_root", "read_only_everywhere",
    "take_in_orphans", "unshare",
]  # fmt: skip

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd"))


def _call(number: int, *arguments: object) -> int:
    # Whole words: a C int in a variadic call need not be extended to the kernel's long.
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *words))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(namespaces: int) -> None:
    """Leave the namespaces of these kinds for new ones (NEW_PIDS: the children are in the new one)."""
    _check(_libc.unshare(ctypes.c_int(namespaces)), "unshare")


def enter(namespace: int, kind: int) -> None:
    """Join the namespace of this kind that the descriptor is of (setns(2)); of mounts, also its root directory."""
    _check(_libc.setns(namespace, kind), "setns")


def mount(kind: str, target: str, options: str = "", *, source: str = "", devices: bool = False) -> None:
    """Mount a file system of a kind such as `tmpfs` or `proc`, without set-user-ID programs there."""
    flags = _MS_NOSUID if devices else _MS_NOSUID | _MS_NODEV
    _mount(source or kind, target, kind, flags, options)


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool | None = None) -> None:
    """Show `source` at `target` too; read-only, writable, or (None) as it is at `source`."""
    _mount(source, target, "", _MS_BIND | (_MS_REC if recursive else 0), "")
    if read_only is not None:
        _set_read_only(target, 0, read_only=read_only)


def detach(target: str) -> None:
    """Take the mount at `target` away; who has something of it open keeps that (umount2(2), MNT_DETACH)."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), target)


def read_only_everywhere() -> None:
    """Make every mount of this mount namespace private, then read-only, but for /proc.

    A user namespace may mount a /proc of its own only while it sees one that is not read-only
    (mount_too_revealing in the kernel's fs/namespace.c).
    """
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
    _set_read_only("/", _AT_RECURSIVE, read_only=True)
    _set_read_only("/proc", 0, read_only=False)


def move_to_own_root() -> None:
    """Make this process' root directory the root of its own (new) mount namespace.

    The kernel refuses user namespaces to a process in a chroot (create_user_ns: current_chrooted), since they
    could lead out of it. Here the chroot's directory becomes the root itself, and nothing else is in reach.
    """
    tree = _check(
        _call(_SYS_OPEN_TREE, _AT_FDCWD, b"/", _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC), "open_tree"
    )
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        # Joining one's own mount namespace sets the root directory to that namespace's root.
        _check(_libc.setns(namespace, NEW_MOUNTS), "setns")
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
        _check(_call(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, b"/", _MOVE_MOUNT_F_EMPTY_PATH), "move_mount")
        os.fchdir(tree)
        os.chroot(".")
        os.chdir("/")
    finally:
        os.close(namespace)
        os.close(tree)


def die_with_parent(signal: int) -> None:
    """Get `signal` when the thread that made this process ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def take_in_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, to wait for it (prctl(2), subreaper)."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def no_new_privileges() -> None:
    """From here on no program gets more rights than this process has (set-user-ID, file capabilities)."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def drop_from_bounding_set(keep: frozenset[int]) -> None:
    """Give up for ever every capability but those in `keep` (numbers as in capabilities(7))."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for capability in range(last + 1):
        if capability not in keep:
            _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    texts = [os.fsencode(text) for text in (source, target, kind, options)]
    _check(_libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), target)


def _set_read_only(target: str, flags: int, *, read_only: bool) -> None:
    attributes = _MountAttributes(set=1 if read_only else 0, clear=0 if read_only else 1)
    size = ctypes.sizeof(attributes)
    _check(_call(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, ctypes.byref(attributes), size), target)
