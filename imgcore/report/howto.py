# SPDX-License-Identifier: GPL-2.0-or-later
"""What to do with an artifact: the command that writes, boots, mounts or unpacks it.

Commands are for a shell in the directory of the file; names are quoted for it. /dev/sdX is the reader's to name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Step", "check", "steps"]

_QEMU = {
    "x86_64": "qemu-system-x86_64 -m 1024",
    **dict.fromkeys(("i386", "i486", "i586", "i686"), "qemu-system-i386 -m 1024"),
    "aarch64": "qemu-system-aarch64 -M virt -cpu max -m 1024",
    **dict.fromkeys(("armv7hl", "armv7l", "armv7tnhl"), "qemu-system-arm -M virt -m 1024"),
    "riscv64": "qemu-system-riscv64 -M virt -m 1024",
}
#: Whose firmware finds a boot loader by itself; the others need a firmware image that QEMU does not bring.
_BIOS = {"x86_64", "i386", "i486", "i586", "i686"}
_CONSOLE = {"aarch64": "ttyAMA0", "armv7hl": "ttyAMA0", "armv7l": "ttyAMA0", "armv7tnhl": "ttyAMA0"}
_UNCOMPRESS = {".gz": "gzip -dc", ".bz2": "bzip2 -dc", ".xz": "xz -dc", ".zst": "zstd -dc"}
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.zst")


@dataclass(frozen=True)
class Step:
    """What the command does, and the command."""

    purpose: str
    command: str


def quoted(name: str) -> str:
    """`name` as one word of a shell that no command takes for an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def check(name: str, sha256: str) -> Step:
    """How to check a download against its digest."""
    return Step("Check the download", f"echo {shlex.quote(f'{sha256}  {name}')} | sha256sum -c")


def steps(name: str, kind: str, *, image_type: str, arch: str, beside: Sequence[str] = ()) -> tuple[Step, ...]:
    """The commands for the artifact `name`; `beside` are the names of the job's other artifacts."""
    file = quoted(name)
    if kind in ("image", "archive") and name.endswith(_TARS):
        return _archive(name, image_type)
    if kind == "image" and image_type in ("raw", "liveusb", "livecd"):
        return _disk(name, image_type, arch, beside)
    if kind == "image" and image_type == "loop":
        return _loop(name, arch, beside)
    if kind == "image" and image_type == "fs" and "." not in name:
        return (Step("Look into it", f"sudo systemd-nspawn -D {file}"),)
    return ()


def _archive(name: str, image_type: str) -> tuple[Step, ...]:
    file = quoted(name)
    unpack = f"sudo tar --numeric-owner --xattrs --xattrs-include='*' -xpf {file} -C DIRECTORY"
    if image_type != "fs":
        return (Step("Unpack it, keeping holes", f"tar -xSf {file}"),)
    return (
        Step("Unpack the root file system", unpack),
        Step("Use it as a container", f"podman import {file} {shlex.quote(name.split('.tar')[0].casefold())}"),
    )


def _disk(name: str, image_type: str, arch: str, beside: Sequence[str]) -> tuple[Step, ...]:
    file = quoted(name)
    ending, plain = _compression(name)
    steps = []
    if any(each in (f"{name}.bmap", f"{plain}.bmap") for each in beside):
        steps.append(Step("Write it to a disk or card, only what is used", f"sudo bmaptool copy {file} /dev/sdX"))
    to_disk = "sudo dd of=/dev/sdX bs=4M conv=fsync status=progress"
    if ending:
        steps.append(Step("Write it to a disk or card", f"{_UNCOMPRESS[ending]} {file} | {to_disk}"))
        steps.append(Step("Uncompress it", f"{_UNCOMPRESS[ending]} {file} > {quoted(plain)}"))
    else:
        steps.append(Step("Write it to a disk or card", to_disk.replace("dd ", f"dd if={file} ", 1)))
    if arch in _BIOS:
        drive = f"-cdrom {quoted(plain)}" if image_type == "livecd" else _drive(plain)
        after = "Boot it in a virtual machine" + (", uncompressed" if ending else "")
        steps.append(Step(after, f"{_QEMU[arch]} {drive} -nographic"))
    return tuple(steps)


def _loop(name: str, arch: str, beside: Sequence[str]) -> tuple[Step, ...]:
    ending, plain = _compression(name)
    steps = []
    if ending:
        steps.append(Step("Uncompress it", f"{_UNCOMPRESS[ending]} {quoted(name)} > {quoted(plain)}"))
    steps.append(Step("Look into it", f"sudo mount -o loop,ro {quoted(plain)} /mnt"))
    kernel = next((each for each in beside if "vmlinu" in each or "Image" in each.split("/")[-1]), "")
    initrd = next((each for each in beside if "initrd" in each or "initramfs" in each), "")
    if kernel and arch in _QEMU:
        start = f" -initrd {quoted(initrd)}" if initrd else ""
        append = shlex.quote(f"root=/dev/vda rw console={_CONSOLE.get(arch, 'ttyS0')}")
        steps.append(
            Step(
                "Boot it in a virtual machine",
                f"{_QEMU[arch]} -kernel {quoted(kernel)}{start} -append {append} {_drive(plain)} -nographic",
            )
        )
    return tuple(steps)


def _drive(name: str) -> str:
    # In an option's value QEMU reads a doubled comma as a comma.
    file = name.replace(",", ",,")
    return f"-drive {shlex.quote(f'file={file},format=raw,if=virtio')}"


def _compression(name: str) -> tuple[str, str]:
    for ending in _UNCOMPRESS:
        if name.endswith(ending):
            return ending, name.removesuffix(ending)
    return "", name
