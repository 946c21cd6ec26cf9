# SPDX-License-Identifier: GPL-2.0-or-later
"""From a finished root tree to the files that a build delivers.

`prepare` writes what the image must know of itself (fstab, mount points, the boot loader's menu) before scripts
run; `make` turns the tree into an archive (fs), a file system (loop) or disks (raw). Everything is done on
plain files: no mount, no loop device, no privilege but that of a user namespace. The same plan and tree give
the same bytes; where that cannot be had (btrfs), `prepare` says so.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.build import disk_full
from imgcore.creator.image import bootloader, btrfs, filesystem, fstab, imagefiles, kernels, pack
from imgcore.creator.plan import Partition, Plan, Workplace
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["Made", "copy_kernels", "make", "prepare"]

Announce = Callable[[Progress], None]


@dataclass(frozen=True)
class Made:
    """A file in the build's `out`; `kind` is `image`, `archive`, `bmap`, `kernel` or `initrd`."""

    name: str
    kind: str


def prepare(plan: Plan, tree: Path) -> list[str]:
    """Make the tree ready for the image it is to be; return warnings.

    Raises BuildError for what can be known to fail without building it.
    """
    if name := _archive_name(plan):
        pack.method_of(name)
    if plan.image_type == "fs":
        return []
    plan = _complete(plan)
    root = Tree(tree)
    warnings: list[str] = []
    for part in plan.partitions:
        filesystem.check(plan, part)
        if part.mountpoint.startswith("/"):
            root.make_directory(part.mountpoint)
    if any(filesystem.kind(part) == "btrfs" for part in plan.partitions):
        warnings.append(btrfs.NOT_REPRODUCIBLE)
    root.write("/etc/fstab", fstab.render(plan, root.read("/etc/fstab")), 0o644)
    choice = bootloader.choose(plan, tree, warnings)
    # A kernel may still come from a script; `make` looks again.
    if choice and kernels.find(tree):
        bootloader.configure(plan, tree, choice)
    return warnings


def make(plan: Plan, place: Workplace, announce: Announce) -> list[Made]:
    """Make the image of the tree at `place.tree` in `place.out`, and name what was made, the main file first."""
    scratch = place.build / "image"
    scratch.mkdir()
    try:
        if plan.image_type == "fs":
            return [_pack_tree(plan, place, announce)]
        return _make_images(_complete(plan), place, scratch, announce)
    except (OSError, BuildError) as error:
        # A full disk shows itself in many ways; all are told as one.
        told = disk_full(error) if isinstance(error, OSError) or error.cause == "internal" else None
        if told is None:
            raise
        raise told from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def copy_kernels(plan: Plan, tree: Path, out: Path) -> list[Made]:
    """Copy the kernels and initial RAM disks of /boot to `out`."""
    return [Made(name, kind) for name, kind in kernels.copy_out(plan.name, tree, out)]


def _pack_tree(plan: Plan, place: Workplace, announce: Announce) -> Made:
    name = _archive_name(plan)
    announce(Progress("image", 0, 1, f"packing {name}"))
    pack.tree(place.tree, place.out / name, plan.source_date_epoch)
    announce(Progress("image", 1, 1, name))
    return Made(name, "archive")


def _make_images(plan: Plan, place: Workplace, scratch: Path, announce: Announce) -> list[Made]:
    choice = bootloader.choose(plan, place.tree, [])
    if choice and not plan.boot_loader.line and not kernels.find(place.tree):
        choice = None  # nobody asked for one, and no script brought a kernel
    if choice:
        bootloader.configure(plan, place.tree, choice)
    folder = scratch if plan.pack_to or plan.compress else place.out
    names, maps = imagefiles.make(plan, place.tree, scratch, folder, choice, announce)
    for name, text in maps.items():
        (place.out / f"{name}.bmap").write_text(text)
    if plan.compress:
        folder = scratch if plan.pack_to else place.out
        names = [_compress(plan, scratch / name, folder, announce) for name in names]
    made = [Made(name, "image") for name in names]
    if plan.pack_to:
        archive = _archive_name(plan)
        announce(Progress("image", 0, 1, f"packing {archive}"))
        pack.files([scratch / name for name in names], place.out / archive, plan.source_date_epoch)
        made = [Made(archive, "archive")]
    return [*made, *(Made(f"{name}.bmap", "bmap") for name in maps)]


def _compress(plan: Plan, source: Path, folder: Path, announce: Announce) -> str:
    name = f"{source.name}.{plan.compress}"
    announce(Progress("image", 0, 1, f"compressing {name}"))
    pack.compress(source, folder / name, plan.compress, plan.source_date_epoch)
    source.unlink()
    return name


def _complete(plan: Plan) -> Plan:
    """`plan` with a root partition, sized by its content, if there is no `part` line at all."""
    if not plan.partitions:
        return dataclasses.replace(plan, partitions=(Partition("/", 0),))
    if not any(part.mountpoint == "/" for part in plan.partitions):
        message = f"{plan.kickstart}: there is no part line for /"
        raise BuildError(message, "add one, such as part / --size=2048", "unsupported")
    return plan


def _archive_name(plan: Plan) -> str:
    if plan.pack_to:
        return plan.pack_to.replace("@NAME@", plan.name)
    return f"{plan.name}.tar.gz" if plan.image_type == "fs" else ""
