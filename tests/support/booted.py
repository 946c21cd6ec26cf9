# SPDX-License-Identifier: GPL-2.0-or-later
"""A clean root that is booted: a machine with systemd as its first process, in QEMU without KVM.

There is a root's shell on its serial line. It reaches the broker of the machine that runs the tests at 10.0.2.2, that
of QEMU's user network.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from imgcore.executor.vm import initramfs
from tests.support.clean_root import Root
from tests.support.virtual_machine import VirtualMachine

__all__ = ["GATEWAY", "Booted", "prepare"]

#: Under which address the machine sees loopback of the one that it runs on.
GATEWAY = "10.0.2.2"
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/list
/bin/busybox ifconfig lo 127.0.0.1 up
/bin/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
/bin/busybox route add default gw 10.0.2.2
until /bin/busybox mount -t ext4 /dev/vda /root 2>/dev/null; do /bin/busybox sleep 1; done
exec /bin/busybox switch_root /root /sbin/init
"""
_SHELL = """[Unit]
Description=A shell for the tests
After=multi-user.target
[Service]
ExecStart=/bin/sh -c 'echo a shell is there; exec /bin/sh'
Environment=HOME=/root PS1=
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
"""


def prepare(root: Root) -> None:
    """Have the root start as a machine does."""
    root.install("systemd-sysv", "dbus")
    root.write("/etc/systemd/system/shell.service", _SHELL)
    root.run("ln", "-s", "/etc/systemd/system/shell.service", "/etc/systemd/system/multi-user.target.wants/")
    # How long something takes to start says nothing where the processor is emulated, on a busy machine.
    root.run("mkdir", "-p", "/etc/systemd/system.conf.d")
    root.write("/etc/systemd/system.conf.d/slow.conf", "[Manager]\nDefaultTimeoutStartSec=15min\n")
    root.run("systemctl", "mask", "serial-getty@ttyS0.service", "getty@tty1.service")


class Booted(VirtualMachine):
    """The machine that a root, closed by now, is made into; its files are in `place`. A context, as its parent is."""

    def __init__(self, root: Root, place: Path) -> None:
        kernel = initramfs.find_kernel()
        disk, ram = place / "disk", place / "initramfs"
        with disk.open("wb") as file:
            file.truncate(4 << 30)
        pack = 'mount -t overlay overlay -o "lowerdir=$1" "$2" && exec mke2fs -q -t ext4 -d "$2" "$3"'
        layers = ":".join(map(str, (root.place / "changes", *root.layers)))
        subprocess.run(["unshare", "--mount", "sh", "-c", pack, "sh", layers, root.place / "root", disk], check=True)
        ram.write_bytes(_initramfs(kernel))
        self._bytes, self._seen = b"", 0
        self._command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
            "-no-reboot", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-drive", f"file={disk},format=raw,if=virtio",
            "-kernel", str(kernel.image), "-initrd", str(ram), "-append", "console=ttyS0 quiet mitigations=off",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
        ]  # fmt: skip


def _initramfs(kernel: initramfs.Kernel) -> bytes:
    archive = initramfs.Archive()
    archive.file("init", _INIT.encode(), 0o755)
    archive.file("bin/busybox", initramfs.busybox(), 0o755)
    archive.modules(kernel, _MODULES)
    return archive.finish()
