# SPDX-License-Identifier: GPL-2.0-or-later
"""Put GRUB into an image file without mounting it: its core image, the MBR's code, UEFI's program.

What grub-install does on a running system, done on plain files. Offsets are those of GRUB's own
include/grub/i386/pc/boot.h and of its boot.S and diskboot.S. The core image has all the modules it needs in it and
finds the file system with its menu by UUID.
"""

from __future__ import annotations

import struct
from pathlib import Path

from imgcore.creator import rooted
from imgcore.creator.image import tools
from imgcore.errors import BuildError

__all__ = ["EFI_PROGRAMS", "core", "install_bios", "modules"]

#: Where firmware looks for a boot loader on a disk that it has never seen.
EFI_PROGRAMS = {"x86_64-efi": "EFI/BOOT/BOOTX64.EFI", "arm64-efi": "EFI/BOOT/BOOTAA64.EFI"}

_PACKAGES = {
    "i386-pc": "grub-pc-bin",
    "x86_64-efi": "grub-efi-amd64-bin",
    "arm64-efi": "grub-efi-arm64-bin",
}
_HOST = Path("/usr/lib/grub")
_SECTOR = 512
_MODULES = (
    "normal", "configfile", "search", "search_fs_uuid", "linux", "echo", "test", "serial", "terminal", "minicmd",
    "ls", "cat", "sleep", "halt", "reboot", "gzio",
)  # fmt: skip
_PLATFORM_MODULES = {"i386-pc": ("biosdisk", "vga", "vbe", "video_fb")}
_EFI_MODULES = ("efi_gop", "video_fb", "fat")
_FS_MODULES = {"ext2": "ext2", "ext3": "ext2", "ext4": "ext2", "vfat": "fat", "btrfs": "btrfs"}
_TABLE_MODULES = {"msdos": "part_msdos", "gpt": "part_gpt"}

_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
#: A disk's signature and partition table.
_TABLE = slice(0x1B8, 0x1FE)
_FIRST_BLOCK_LIST = _SECTOR - 12


def modules(tree: Path, platform: str) -> Path:
    """The directory with GRUB's modules for `platform`: the image's own, else this machine's."""
    for folder in (rooted.resolve(tree, f"/usr/lib/grub/{platform}"), _HOST / platform):
        if (folder / "kernel.img").is_file() and (folder / "moddep.lst").is_file():
            return folder
    package = _PACKAGES.get(platform, "grub-common")
    raise BuildError(
        f"GRUB for {platform} is neither in the image nor on this machine",
        f"apt-get install {package}",
        "tool-missing",
    )


def core(
    folder: Path, platform: str, table: str, fstype: str, prefix: str, early: str, scratch: Path, epoch: int
) -> bytes:
    """GRUB's image for `platform`, which runs `early` and then the menu below `prefix`; `folder` has its modules."""
    configuration = scratch / f"{platform}.cfg"
    configuration.write_text(early)
    target = scratch / f"{platform}.img"
    own = _PLATFORM_MODULES.get(platform, _EFI_MODULES)
    wanted = {*_MODULES, *own, _TABLE_MODULES[table], _FS_MODULES[fstype]}
    there = sorted(name for name in wanted if (folder / f"{name}.mod").is_file())
    argv = ["grub-mkimage", "-O", platform, "-d", str(folder), "-p", prefix, "-c", str(configuration)]
    tools.use([*argv, "-o", str(target), *there], epoch, "makes GRUB's image")
    return target.read_bytes()


def install_bios(disk: Path, image: bytes, boot: bytes, at: int, room: int) -> None:
    """Write the core `image` to sector `at` of `disk`, and `boot` (boot.img) to its MBR.

    `room` is how many sectors there are. The partition table stays. The sectors follow each other, so the one
    block list that grub-mkimage writes needs only its beginning moved.
    """
    sectors = -(-len(image) // _SECTOR)
    if sectors > room:
        message = f"GRUB's image takes {sectors * _SECTOR // 1024} KiB, where it goes are {room // 2} KiB"
        raise BuildError(message, "make the biosboot partition 1 MiB or larger", "boot-loader")
    content = bytearray(image.ljust(sectors * _SECTOR, b"\0"))
    struct.pack_into("<QH", content, _FIRST_BLOCK_LIST, at + 1, sectors - 1)
    record = bytearray(boot)
    struct.pack_into("<Q", record, _KERNEL_SECTOR, at)
    # A jump that believes the BIOS's drive number; two NOPs make the code check it, as on every hard disk.
    record[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"
    with disk.open("r+b") as file:
        record[_TABLE] = file.read(_SECTOR)[_TABLE]
        file.seek(0)
        file.write(record[:_SECTOR])
        file.seek(at * _SECTOR)
        file.write(content)
