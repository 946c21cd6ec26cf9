# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves bootloader.py, grub.py, efi.py and kernels.py of the image maker; test_image.py proves that it boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.creator.image import bootloader, disk, efi, filesystem, grub, identity, kernels
from imgcore.creator.plan import BootLoader, Partition, Plan, Script
from imgcore.errors import BuildError
from tests.support import imaging

ROOT = Partition("/", 64, line=3)
BOOT = Partition("/boot", 24, "ext2", line=4)
EFI = Partition("/boot/efi", 40, "efi", line=5)
BIOSBOOT = Partition("biosboot", 1, "biosboot", line=6)


def boot(tree: Path, *names: str) -> Path:
    (tree / "boot").mkdir(parents=True, exist_ok=True)
    for name in names:
        (tree / "boot" / name).write_text(name)
    return tree


def plan(*parts: Partition, arch: str = "x86_64", scripts: tuple[Script, ...] = (), **loader: object) -> Plan:
    made = imaging.plan("raw", parts, boot_loader=BootLoader(**{"line": 9, **loader}), scripts=scripts)  # type: ignore[arg-type]
    return Plan(**{**vars(made), "arch": arch})


def menu(tree: Path, the_plan: Plan) -> str:
    choice = bootloader.choose(the_plan, tree, [])
    assert choice is not None
    bootloader.configure(the_plan, tree, choice)
    return (tree / "boot/grub/grub.cfg").read_text()


def test_kernels_are_found_newest_first_each_with_its_ram_disk(tmp_path: Path) -> None:
    boot(tmp_path, "vmlinuz-6.9.1", "vmlinuz-6.10.0", "initramfs-6.10.0.img", "initrd.img-6.9.1", "System.map-6.9.1")
    boot(tmp_path, "vmlinuz-0-rescue-abc", "initramfs-0-rescue-abc.img")
    (tmp_path / "boot/vmlinuz").symlink_to("vmlinuz-6.9.1")
    assert kernels.find(tmp_path) == [
        kernels.Kernel("vmlinuz-6.10.0", "6.10.0", "initramfs-6.10.0.img"),
        kernels.Kernel("vmlinuz-6.9.1", "6.9.1", "initrd.img-6.9.1"),
    ]


def test_a_kernel_without_a_version_or_behind_a_link_is_one_too(tmp_path: Path) -> None:
    boot(tmp_path / "a", "bzImage", "initrd")
    assert kernels.find(tmp_path / "a") == [kernels.Kernel("bzImage", "", "initrd")]
    (tmp_path / "b/boot").mkdir(parents=True)
    (tmp_path / "b/k").write_text("x")
    (tmp_path / "b/boot/vmlinuz").symlink_to("/k")
    assert kernels.find(tmp_path / "b") == [kernels.Kernel("vmlinuz")]
    assert kernels.find(tmp_path / "nothing") == []


def test_with_a_ram_disk_the_root_is_found_by_its_file_system_without_by_its_partition(tmp_path: Path) -> None:
    tree = boot(tmp_path, "vmlinuz-2", "vmlinuz-1", "initrd-1.img")
    the_plan = plan(ROOT)
    text = menu(tree, the_plan)
    assert f"    linux /boot/vmlinuz-1 root=UUID={filesystem.uuid_text(the_plan, ROOT)} ro\n" in text
    assert "    initrd /boot/initrd-1.img\n" in text
    signature = identity.disk_signature(the_plan, "sda")
    assert f"    linux /boot/vmlinuz-2 root=PARTUUID={signature:08x}-01 rootwait ro\n" in text
    assert text.count("initrd") == 2


def test_on_a_gpt_and_with_a_boot_partition_names_follow(tmp_path: Path) -> None:
    the_plan = plan(BOOT, BIOSBOOT, ROOT, table="gpt")
    text = menu(boot(tmp_path, "vmlinuz-1"), the_plan)
    assert f"    linux /vmlinuz-1 root=PARTUUID={disk.part_uuid(the_plan, ROOT)} rootwait ro\n" in text
    assert f"--set=root {filesystem.uuid_text(the_plan, BOOT)}\n" in text
    choice = bootloader.choose(the_plan, tmp_path, [])
    assert choice is not None and choice.biosboot is BIOSBOOT
    assert "set prefix=($root)/grub\n" in bootloader.early_configuration(the_plan, choice)


def test_options_menus_timeout_and_default_are_as_asked(tmp_path: Path) -> None:
    text = menu(
        boot(tmp_path, "vmlinuz-1"),
        plan(
            ROOT,
            append="rw root=/dev/sda1 console=tty0 console=ttyS1,9600 dyndbg=\"file a +p\" x='$y;z'",
            timeout=7,
            menus=(("It's safe", "safe", "single nomodeset"),),
            default="It's safe",
        ),
    )
    assert "set timeout=7\nset default=safe\n" in text
    assert "serial --unit=1 --speed=9600\n" in text
    words = "rw root=/dev/sda1 console=tty0 console=ttyS1,9600 'dyndbg=file a +p' 'x=$y;z'"
    assert f"    linux /boot/vmlinuz-1 {words}\n" in text
    assert "menuentry 'It'\\''s safe' --id safe {\n" in text
    assert f"    linux /boot/vmlinuz-1 {words} single nomodeset\n" in text


def test_without_a_serial_console_grub_stays_off_the_serial_line(tmp_path: Path) -> None:
    assert "serial" not in menu(boot(tmp_path, "vmlinuz-1"), plan(ROOT, append="quiet xconsole=ttyS0"))


def test_a_menu_is_written_again_unless_somebody_changed_it(tmp_path: Path) -> None:
    tree = boot(tmp_path, "vmlinuz-1")
    menu(tree, plan(ROOT))
    assert "vmlinuz-2" in menu(boot(tree, "vmlinuz-2"), plan(ROOT))
    file = tree / "boot/grub/grub.cfg"
    file.write_text(file.read_text() + "# mine\n")
    assert "vmlinuz-3" not in menu(boot(tree, "vmlinuz-3"), plan(ROOT))
    file.write_text("menuentry mine {\n}\n")
    assert menu(tree, plan(ROOT)) == "menuentry mine {\n}\n"


@pytest.mark.parametrize(
    ("the_plan", "platforms"),
    [
        (plan(ROOT), ("i386-pc",)),
        (plan(ROOT, arch="i686"), ("i386-pc",)),
        (plan(EFI, ROOT), ("i386-pc", "x86_64-efi")),
        (plan(EFI, ROOT, table="gpt"), ("x86_64-efi",)),
        (plan(BIOSBOOT, EFI, ROOT, table="gpt"), ("i386-pc", "x86_64-efi")),
        (plan(ROOT, location="none"), None),
        (plan(ROOT, line=0, arch="armv7hl"), None),
        (plan(ROOT, line=0, table="gpt"), None),
    ],
)
def test_the_partitions_decide_for_which_firmware(
    tmp_path: Path, the_plan: Plan, platforms: tuple[str, ...] | None
) -> None:
    warnings: list[str] = []
    choice = bootloader.choose(the_plan, boot(tmp_path, "vmlinuz-1"), warnings)
    assert (choice.platforms if choice else None) == platforms
    asked_for_nothing = the_plan.boot_loader.line == 0
    assert len(warnings) == (1 if asked_for_nothing else 0)


@pytest.mark.parametrize(
    ("the_plan", "cause", "says"),
    [
        (plan(ROOT, arch="armv7hl"), "boot-loader", "for armv7hl there is none"),
        (plan(ROOT, table="gpt"), "boot-loader", "biosboot or an EFI system partition"),
    ],
)
def test_a_line_that_cannot_be_carried_out_is_an_error(tmp_path: Path, the_plan: Plan, cause: str, says: str) -> None:
    with pytest.raises(BuildError, match=r"demo\.ks, line 9: bootloader: ") as told:
        bootloader.choose(the_plan, boot(tmp_path, "vmlinuz-1"), [])
    assert told.value.cause == cause and says in told.value.message


def test_no_kernel_is_an_error_where_a_line_asks_for_a_boot_loader(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no kernel") as told:
        bootloader.choose(plan(ROOT), tmp_path, [])
    assert told.value.cause == "boot-loader"
    warnings: list[str] = []
    assert bootloader.choose(plan(ROOT, line=0), tmp_path, warnings) is None
    assert "no kernel" in warnings[0]
    # A script may still bring one.
    assert bootloader.choose(plan(ROOT, scripts=(Script("post", ""),)), tmp_path, []) is not None


def test_grub_that_is_nowhere_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grub, "_HOST", tmp_path / "host")
    with pytest.raises(BuildError) as told:
        bootloader.choose(plan(ROOT), boot(tmp_path, "vmlinuz-1"), [])
    assert told.value.cause == "tool-missing" and "grub-pc-bin" in told.value.remedy
    own = tmp_path / "usr/lib/grub/i386-pc"
    own.mkdir(parents=True)
    for name in ("kernel.img", "moddep.lst"):
        (own / name).touch()
    assert grub.modules(tmp_path, "i386-pc") == own


def test_a_core_image_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(bytes(10 << 10))
    with pytest.raises(BuildError, match="1 KiB, where it goes are 0 KiB") as told:
        grub.install_bios(file, bytes(1024), bytes(512), 1, 1)
    assert told.value.cause == "boot-loader" and file.read_bytes() == bytes(10 << 10)


def test_uefis_program_takes_a_packages_place_for_as_long_as_the_image_is_made(tmp_path: Path) -> None:
    choice = bootloader.choose(plan(EFI, ROOT, table="gpt"), boot(tmp_path / "tree", "vmlinuz-1"), [])
    esp = tmp_path / "esp"
    (esp / "efi/Boot").mkdir(parents=True)
    (esp / "efi/Boot/bootx64.efi").write_text("theirs")
    programs = {"EFI/BOOT/BOOTX64.EFI": b"ours", "EFI/new/X.EFI": b"new"}
    with efi.installed({"/boot/efi": esp}, choice, programs):
        found = {str(path.relative_to(esp)): path.read_bytes() for path in esp.rglob("*") if path.is_file()}
        assert found == {"efi/Boot/bootx64.efi": b"ours", "efi/new/X.EFI": b"new"}
    assert [path.read_text() for path in esp.rglob("*") if path.is_file()] == ["theirs"]
    assert not (esp / "efi/new").exists()
