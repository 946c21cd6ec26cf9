# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a root tree holds, each with its initial RAM disk, the newest first."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.tree import Tree

__all__ = ["Kernel", "copy_out", "find"]

_IMAGE = re.compile(r"(?:vmlinuz|vmlinux|bzImage|Image)(?:-(.+))?")
#: How distributions name the initial RAM disk of version {}.
_DISKS = ("initramfs-{}.img", "initrd.img-{}", "initrd-{}.img", "initramfs-{}", "initrd-{}")
_PLAIN_DISKS = ("initramfs.img", "initrd.img", "initramfs", "initrd", "initrd.gz", "initramfs.gz")


@dataclass(frozen=True)
class Kernel:
    """A kernel in /boot. `version` is empty for one without; `disk` is empty where there is no RAM disk."""

    image: str
    version: str = ""
    disk: str = ""


def find(tree: Path) -> list[Kernel]:
    """The kernels in /boot; a link to another of them, and a rescue kernel, only where there is no other."""
    root = Tree(tree)
    names = [name for name in root.names("/boot") if root.real(f"/boot/{name}").is_file()]
    found = []
    for name in names:
        match = _IMAGE.fullmatch(name)
        if match:
            found.append(Kernel(name, match[1] or "", _disk(names, match[1] or "")))
    own = [each for each in found if not root.has_link(f"/boot/{each.image}") and "rescue" not in each.version]
    return sorted(own or found, key=lambda kernel: _age(kernel.version), reverse=True)


def copy_out(name: str, tree: Path, out: Path) -> list[tuple[str, str]]:
    """Copy kernels and RAM disks to `out` as NAME-vmlinuz-* and the like; return (file name, kind) of each."""
    copied = []
    root = Tree(tree)
    for kernel in find(tree):
        for source, kind in ((kernel.image, "kernel"), (kernel.disk, "initrd")):
            target = f"{name}-{source}"
            if source and (target, kind) not in copied:
                shutil.copyfile(root.real(f"/boot/{source}"), out / target)
                copied.append((target, kind))
    return copied


def _disk(names: list[str], version: str) -> str:
    versioned = [form.format(version) for form in _DISKS] if version else []
    return next((name for name in (*versioned, *_PLAIN_DISKS) if name in names), "")


def _age(version: str) -> list[tuple[int, int, str]]:
    # Numbers count as numbers: 6.10 is newer than 6.9.
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|\D+", version)]
