# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine can build, and what it lacks for the rest.

Looks at programs and the kernel, changes nothing. Packages have Debian's names here; `distribution` knows the others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgcore.config import Config
from imgcore.distribution import install_command
from imgcore.executor.choose import root_may_mount, user_namespaces_work
from imgcore.executor.identity import of_caller
from imgcore.executor.local import DOOR, can_pass_the_door
from imgcore.executor.vm import accelerators, initramfs

__all__ = ["Check", "can_build", "examine"]

#: What it is for, the programs, the packages.
_PROGRAMS = (
    ("compressed archives (zstd)", ("zstd",), "zstd"),
    ("compressed archives (xz)", ("xz",), "xz-utils"),
    ("compressed archives (bzip2)", ("bzip2",), "bzip2"),
    ("file systems ext2, ext3, ext4", ("mke2fs",), "e2fsprogs"),
    ("file systems vfat, EFI system partitions", ("mkfs.vfat", "mcopy"), "dosfstools mtools"),
    ("file system btrfs", ("mkfs.btrfs",), "btrfs-progs"),
    ("raw disks", ("sfdisk",), "fdisk"),
    ("boot loader", ("grub-mkimage",), "grub-common"),
)
#: What crypts passwords where Python does not: its module crypt is gone since 3.13.
_PASSWORDS = ("passwords in plain text", ("openssl",), "openssl")
_PYTHON = "/usr/bin/python3"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `needed`: no image at all without it; `packages` would bring it."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = False
    packages: tuple[str, ...] = ()


def examine(config: Config) -> list[Check]:
    """Everything that can be looked at quickly."""
    return [*_where(config), *_machine(config), *_tools(config), *_makers(), *_disk(config)]


def can_build(checks: list[Check]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(each.ok for each in checks if each.needed)


def _where(config: Config) -> Iterator[Check]:
    root = os.geteuid() == 0
    namespaces = root_may_mount() if root else user_namespaces_work()
    door = not root and can_pass_the_door()
    ids = of_caller()
    if config.executor in ("auto", "direct"):
        if root:
            detail = "as root" if namespaces else "root may not make mounts here, as in many containers"
            remedy = "" if namespaces else "give the container the capability SYS_ADMIN, or build outside of it"
        else:
            detail = "in a user namespace" if namespaces else "the kernel refuses user namespaces here"
            remedy = "" if namespaces else "use --executor sudo (`make door`), or build as root"
        yield Check("executor direct", namespaces, detail, remedy, needed=not door)
        if not root and namespaces:
            yield Check(
                "user ids for packages' owners",
                ids.count > 1,
                f"{ids.count} in the sandbox",
                ""
                if ids.count > 1
                else f"{install_command(['uidmap'])}, and give the user a range in /etc/subuid and /etc/subgid",
                packages=() if ids.count > 1 or shutil.which("newuidmap") else ("uidmap",),
            )
    if not root:
        detail = f"{DOOR} may be used" if door else f"{DOOR} is not there or sudo does not allow it"
        remedy = "" if door else "only where direct does not work: `make door`"
        yield Check("executor sudo", door, detail, remedy, needed=config.executor == "sudo")


def _machine(config: Config) -> Iterator[Check]:
    """What the executor vm needs; whether kvm works is known once a machine was started."""
    missing = []
    if not _runs([_PYTHON, "-I", "-c", "import libvirt"]):
        missing.append("python3-libvirt")
    if shutil.which("qemu-system-x86_64") is None:
        missing.append("qemu-system-x86")
    if shutil.which("libvirtd", path=_SBIN) is None and shutil.which("virtqemud", path=_SBIN) is None:
        missing.append("libvirt-daemon-system")
    if config.vm.base and shutil.which("qemu-img") is None:
        missing.append("qemu-utils")
    packages = tuple(missing)
    detail, remedy = "", install_command(packages)
    try:
        initramfs.busybox()
        kernel = initramfs.find_kernel(config.vm.kernel)
        verdict = accelerators.Memory(config.cache, kernel).verdict()
        detail = f"{kernel.image}; " + {
            "": "kvm was not tried yet" if accelerators.usable() else "by emulation (tcg): /dev/kvm cannot be used",
            accelerators.WORKS: "kvm works",
        }.get(verdict, f"by emulation (tcg), as kvm does not work here: {verdict}")
    except initramfs.Unusable as error:
        detail, remedy = str(error), error.remedy
        missing.append(detail)
    yield Check(
        "executor vm",
        not missing,
        detail if not missing else f"not there: {', '.join(missing)}",
        remedy if missing else "",
        needed=config.executor == "vm",
        packages=packages,
    )


def _tools(config: Config) -> Iterator[Check]:
    found = Path(_PYTHON).exists() and _runs([_PYTHON, "-I", "-c", "import dnf, rpm"])
    yield Check(
        "tool builtin: packages by dnf and rpm",
        found,
        "Debian's dnf and rpm modules" if found else f"{_PYTHON} has no dnf and rpm modules",
        "" if found else install_command(["python3-dnf", "python3-rpm"]),
        needed=config.tool == "builtin",
        packages=() if found else ("python3-dnf", "python3-rpm"),
    )
    for name, command in config.commands.items():
        there = shutil.which(command[0]) is not None
        yield Check(
            f"tool {name}",
            there,
            command[0] if there else f"{command[0]} is not installed",
            "" if there else "install it, or set its command in imager.conf; the built-in tool needs none of it",
            needed=config.tool == name,
        )


def _makers() -> Iterator[Check]:
    search = f"{os.environ.get('PATH', '')}:{_SBIN}"
    more = () if _runs([_PYTHON, "-I", "-c", "import crypt"]) else (_PASSWORDS,)
    for subject, programs, packages in (*_PROGRAMS, *more):
        missing = [each for each in programs if shutil.which(each, path=search) is None]
        yield Check(
            subject,
            not missing,
            ", ".join(programs) if not missing else f"{', '.join(missing)} not installed",
            install_command(packages.split()) if missing else "",
            packages=tuple(packages.split()) if missing else (),
        )
    for subject, directory, package in (
        ("boot loader for BIOS", "/usr/lib/grub/i386-pc", "grub-pc-bin"),
        ("boot loader for UEFI", "/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
    ):
        there = Path(directory).is_dir()
        yield Check(
            subject,
            there,
            directory if there else f"{directory} is not there",
            "" if there else install_command([package]),
            packages=() if there else (package,),
        )


def _disk(config: Config) -> Iterator[Check]:
    for subject, path in (("spool", config.spool), ("images", config.base_dir), ("package cache", config.cache)):
        place = next(each for each in (path, *path.parents) if os.path.exists(each))  # noqa: PTH110 - never raises
        writable = os.access(place, os.W_OK)
        free = shutil.disk_usage(place).free >> 20
        yield Check(
            subject,
            writable,
            f"{path}, {free:,} MiB free" if writable else f"{place} cannot be written",
            "" if writable else "choose another place in imager.conf, or correct its owner",
            needed=True,
        )


def _runs(command: list[str]) -> bool:
    # Python is asked with -I: else modules of the directory that somebody stands in would come first.
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env={"PATH": "/usr/bin"}
    )
    return done.returncode == 0
