# SPDX-License-Identifier: GPL-2.0-or-later
"""Which boot loader an image gets, and the menu it shows: /boot/grub/grub.cfg.

GRUB for the BIOS (in the gap behind an MBR, or in a `biosboot` partition of a GPT), GRUB for UEFI on an EFI
system partition, or both: by what the architecture and the `part` lines allow. The file carries the digest of
its own text, so that it can be written again for kernels that scripts have brought, unless someone edited it.
How GRUB itself gets into the image is in grub.py.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.image import disk, filesystem, grub, kernels
from imgcore.creator.plan import Partition, Plan
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError

__all__ = ["CONFIGURATION", "Choice", "choose", "configure", "early_configuration"]

CONFIGURATION = "/boot/grub/grub.cfg"
_MARK = "# Written by Imager. SHA-256 of all that follows: "
_EFI_PLATFORMS = {"x86_64": "x86_64-efi", "aarch64": "arm64-efi"}


@dataclass(frozen=True)
class Choice:
    """What is to be installed: `platforms` are GRUB's names, `boot` is the partition with /boot."""

    platforms: tuple[str, ...]
    boot: Partition
    root: Partition
    esp: Partition | None = None
    #: The biosboot partition, where the BIOS's loader does not go behind the MBR.
    biosboot: Partition | None = None

    @property
    def prefix(self) -> str:
        """GRUB's directory as seen in the file system with /boot."""
        return "/grub" if self.boot.mountpoint == "/boot" else "/boot/grub"


def choose(plan: Plan, tree: Path, warnings: list[str]) -> Choice | None:
    """What `plan` gets, or None: not wanted, or (with a warning) not possible and never asked for.

    Raises BuildError where a `bootloader` line asks for what cannot be.
    """
    loader = plan.boot_loader
    if plan.image_type != "raw" or loader.location == "none":
        return None
    if not plan.scripts and not kernels.find(tree):
        _without(plan, "there is no kernel (/boot/vmlinuz*) in the image", warnings)
        return None
    boot = next((part for part in plan.partitions if part.mountpoint == "/boot"), None)
    root = next(part for part in plan.partitions if part.mountpoint == "/")
    return _platforms(plan, tree, boot or root, root, warnings)


def _platforms(plan: Plan, tree: Path, boot: Partition, root: Partition, warnings: list[str]) -> Choice | None:
    x86 = plan.arch == "x86_64" or re.fullmatch(r"i[3-6]86", plan.arch)
    esp = next((part for part in plan.partitions if filesystem.is_esp(part)), None)
    efi = _EFI_PLATFORMS.get(plan.arch) if esp else None
    gpt = plan.boot_loader.table == "gpt"
    biosboot = next(
        (part for part in plan.partitions if filesystem.kind(part) == "biosboot" and part.disk == boot.disk), None
    )
    bios = x86 and (biosboot is not None if gpt else True)
    platforms = (*(["i386-pc"] if bios else []), *([efi] if efi else []))
    if not platforms:
        if x86:
            why = "a GPT holds a boot loader only in a biosboot or an EFI system partition, and there is none"
        else:
            why = f"for {plan.arch} there is none but for UEFI, on aarch64, with an EFI system partition"
        _without(plan, why, warnings)
        return None
    for platform in platforms:
        grub.modules(tree, platform)
    return Choice(platforms, boot, root, esp if efi else None, biosboot if gpt else None)


def configure(plan: Plan, tree: Path, choice: Choice) -> None:
    """Write the menu, or write it again; one that somebody else wrote or changed is left as it is.

    Raises BuildError where there is no kernel to boot.
    """
    root = Tree(tree)
    present = root.read(CONFIGURATION)
    head, _, body = present.partition("\n")
    if present and head != _MARK + _digest(body):
        return
    found = kernels.find(tree)
    if not found:
        raise _error(plan, "there is no kernel (/boot/vmlinuz*) in the image", _REMEDY)
    body = _menu(plan, choice, found)
    root.write(CONFIGURATION, f"{_MARK}{_digest(body)}\n{body}", 0o644)


def early_configuration(plan: Plan, choice: Choice) -> str:
    """What GRUB is told before it has found its menu."""
    uuid = filesystem.uuid_text(plan, choice.boot)
    lines = [*_serial(plan), f"search --no-floppy --fs-uuid --set=root {uuid}", f"set prefix=($root){choice.prefix}"]
    return "".join(f"{line}\n" for line in lines)


def _menu(plan: Plan, choice: Choice, found: list[kernels.Kernel]) -> str:
    loader = plan.boot_loader
    folder = "" if choice.boot.mountpoint == "/boot" else "/boot"
    entries = [(f"{plan.name} {kernel.version}".strip(), kernel.version or "linux", "", kernel) for kernel in found]
    entries += [(title, short, extra, found[0]) for title, short, extra in loader.menus]
    default = next((short for title, short, *_ in entries if loader.default in (title, short)), "")
    lines = [
        *_serial(plan),
        f"set timeout={loader.timeout}",
        f"set default={_quoted(default or entries[0][1])}",
        f"search --no-floppy --fs-uuid --set=root {filesystem.uuid_text(plan, choice.boot)}",
    ]
    for title, short, extra, kernel in entries:
        command = " ".join(_quoted(word) for word in _kernel_words(plan, choice, kernel, extra))
        lines += [
            "",
            f"menuentry {_quoted(title)} --id {_quoted(short)} {{",
            f"    linux {_quoted(f'{folder}/{kernel.image}')} {command}",
            *([f"    initrd {_quoted(f'{folder}/{kernel.disk}')}"] if kernel.disk else []),
            "}",
        ]
    return "".join(f"{line}\n" for line in lines)


def _kernel_words(plan: Plan, choice: Choice, kernel: kernels.Kernel, extra: str) -> list[str]:
    asked = [*_words(plan.boot_loader.append), *_words(extra)]
    words = []
    if not any(word.startswith("root=") for word in asked):
        # Only an initial RAM disk knows file systems' UUIDs; a bare kernel knows partitions'.
        if kernel.disk:
            words.append(f"root=UUID={filesystem.uuid_text(plan, choice.root)}")
        else:
            words += [f"root=PARTUUID={disk.part_uuid(plan, choice.root)}", "rootwait"]
    if not {"ro", "rw"} & set(asked):
        words.append("ro")
    return words + asked


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote without its partner: the kernel's business
        return text.split()


def _serial(plan: Plan) -> list[str]:
    """GRUB talks where the kernel will."""
    match = re.search(r"(?:^|\s)console=ttyS(\d+)(?:,(\d+))?", plan.boot_loader.append)
    if match is None:
        return []
    return [
        f"serial --unit={match[1]} --speed={match[2] or '115200'}",
        "terminal_input console serial",
        "terminal_output console serial",
    ]


def _quoted(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:=,@%+-]+", word):
        return word
    clean = " ".join(word.split()).replace("'", "'\\''")
    return f"'{clean}'"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


_REMEDY = "add a kernel package to %packages, or `bootloader --location=none`"


def _without(plan: Plan, why: str, warnings: list[str]) -> None:
    if plan.boot_loader.line:
        raise _error(plan, why, _REMEDY if "kernel" in why else "add the partition, or `bootloader --location=none`")
    warnings.append(f"the image gets no boot loader: {why}")


def _error(plan: Plan, message: str, remedy: str, cause: str = "boot-loader") -> BuildError:
    where = f"{plan.kickstart}, line {plan.boot_loader.line}" if plan.boot_loader.line else plan.kickstart
    return BuildError(f"{where}: bootloader: {message}", remedy, cause)
