# SPDX-License-Identifier: GPL-2.0-or-later
"""The command that installs packages here: apt, dnf or zypper, and what the distribution calls them. A leaf."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["install_command"]

_RELEASE = Path("/etc/os-release")
#: What Fedora and openSUSE call what Debian calls so; "": it is part of another package there.
_NAMES = {
    "createrepo-c": ("createrepo_c", "createrepo_c"),
    "btrfs-progs": ("btrfs-progs", "btrfsprogs"),
    "busybox-static": ("busybox", "busybox-static"),
    "fdisk": ("util-linux", "util-linux"),
    "grub-common": ("grub2-tools-minimal", "grub2"),
    "grub-efi-amd64-bin": ("grub2-efi-x64-modules", "grub2-x86_64-efi"),
    "grub-pc-bin": ("grub2-pc-modules", "grub2-i386-pc"),
    "libvirt-daemon-system": ("libvirt-daemon", "libvirt-daemon"),
    "linux-image-amd64": ("kernel-core", "kernel-default"),
    "python3-libvirt": ("python3-libvirt", "python3-libvirt-python"),
    "qemu-system-x86": ("qemu-system-x86-core", "qemu-x86"),
    "rpm": ("rpm-build", "rpm-build"),
    "uidmap": ("shadow-utils", "shadow"),
    "xz-utils": ("xz", "xz"),
}


def install_command(packages: Iterable[str], release: Path = _RELEASE) -> str:
    """What installs these packages, which are given by Debian's names; with sudo where this is not root."""
    family = _family(release)
    found = list(packages)
    if family == "apt":
        command = ["apt", "install", *found]
    else:
        column = ("dnf", "zypper").index(family)
        command = [family, "install", *(_NAMES[each][column] if each in _NAMES else each for each in found)]
    return " ".join([*([] if os.geteuid() == 0 else ["sudo"]), *dict.fromkeys(command)])


def _family(release: Path) -> str:
    """Which command the system has (os-release(5)); apt where that is not known."""
    try:
        lines = release.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "apt"
    told = dict(line.partition("=")[::2] for line in lines)
    words = {word for name in ("ID", "ID_LIKE") for word in told.get(name, "").strip("\"'").split()}
    if words & {"fedora", "rhel", "centos"}:
        return "dnf"
    return "zypper" if any("suse" in word for word in words) else "apt"
