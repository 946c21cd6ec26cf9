# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/ (and with it imagefiles.py): whole builds, looked into by other tools."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcore.creator import image
from imgcore.creator.image import identity
from imgcore.creator.plan import BootLoader, Partition, Plan, Script
from imgcore.errors import BuildError
from tests.support import imaging

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).parents[4]
ROOT = Partition("/", 64, "ext4", label="system", line=3)
SMALL = Partition("/", 12, "ext4", line=3)
EFI = Partition("/boot/efi", 40, "efi", line=4)
BIOSBOOT = Partition("biosboot", 1, "biosboot", line=5)
SWAP = Partition("swap", 8, "swap", line=6)
HOME = Partition("/home", 16, "ext3", line=7)
BOOT = Partition("/boot", 24, "ext2", line=8, active=True)
WITH_LOADER = BootLoader(append="console=ttyS0", line=9)
GPT = BootLoader(append="console=ttyS0", table="gpt", line=9)

EVERY_TYPE = {
    "fs": imaging.plan("fs"),
    "fs, tar.zst": imaging.plan("fs", pack_to="@NAME@.tar.zst"),
    "fs, tar.xz": imaging.plan("fs", pack_to="@NAME@.txz"),
    "fs, tar.bz2": imaging.plan("fs", pack_to="@NAME@.tar.bz2"),
    "fs, tar": imaging.plan("fs", pack_to="x.tar"),
    "loop ext4": imaging.plan("loop", (ROOT,)),
    "loop ext3": imaging.plan("loop", (Partition("/", 40, "ext3"),)),
    "loop ext2": imaging.plan("loop", (Partition("/", 20, "ext2"),)),
    "loop by content": imaging.plan("loop"),
    "loop, packed": imaging.plan("loop", (ROOT,), pack_to="@NAME@.tar.gz"),
    "raw, MBR": imaging.plan("raw", (ROOT, SWAP, HOME), boot_loader=WITH_LOADER),
    "raw, MBR with logical": imaging.plan("raw", (BOOT, SWAP, HOME, ROOT, EFI), boot_loader=WITH_LOADER),
    "raw, GPT": imaging.plan("raw", (BIOSBOOT, EFI, BOOT, ROOT), boot_loader=GPT),
    "raw, gz": imaging.plan("raw", (SMALL,), compress="gz"),
    "raw, bz2": imaging.plan("raw", (SMALL,), compress="bz2"),
    "raw, xz": imaging.plan("raw", (SMALL,), compress="xz"),
    "raw, zst": imaging.plan("raw", (SMALL,), compress="zst"),
    "raw, two disks, packed": imaging.plan("raw", (ROOT, Partition("/home", 16, disk="sdb")), pack_to="@NAME@.tar"),
}


def built(
    folder: Path, plan: Plan, *, backwards: bool = False, owner: tuple[int, int] = imaging.OWNER
) -> dict[str, bytes]:
    place = imaging.workplace(folder)
    imaging.fill(place.tree, backwards=backwards, owner=owner)
    if any(part.fstype == "efi" for part in plan.partitions):
        for name in ("startup.nsh", "EFI/other/Long name.txt"):
            path = place.tree / "boot/efi" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    imaging.make(plan, place)
    return {path.name: path.read_bytes() for path in place.out.iterdir()}


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The digests of every type, built some seconds ago."""
    made = {}
    for number, (which, plan) in enumerate(EVERY_TYPE.items()):
        folder = tmp_path_factory.mktemp(f"earlier{number}")
        made[which] = digests(built(folder, plan))
        shutil.rmtree(folder)
    time.sleep(2)  # FAT's clock has no finer step
    return made


@pytest.mark.parametrize("which", EVERY_TYPE)
def test_the_same_tree_gives_the_same_bytes_whenever_and_wherever(
    tmp_path: Path, which: str, earlier: dict[str, dict[str, str]]
) -> None:
    assert digests(built(tmp_path / "somewhere" / "else", EVERY_TYPE[which], backwards=True)) == earlier[which]


def test_files_newer_than_the_plan_do_not_show(tmp_path: Path) -> None:
    plan = imaging.plan("raw", (ROOT, EFI), boot_loader=WITH_LOADER)
    built(tmp_path / "a", plan)
    disk = tmp_path / "a/out/demo-sda.raw"
    year = time.strftime("%Y", time.gmtime())
    for request in ("stat /bin/program", "stat /", "stat /etc/link", "stat <8>", "stat /lost+found"):
        assert year not in imaging.debugfs(imaging.cut(disk, 1, tmp_path / "root"), request)
    assert year not in imaging.output("mdir", "-/", "-i", imaging.cut(disk, 2, tmp_path / "esp"), "::")


def test_a_loop_image_holds_the_tree(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    assert imaging.make(imaging.plan("loop", (ROOT,)), place) == {"demo.img": "image"}
    file = place.out / "demo.img"
    assert file.stat().st_size == 64 << 20
    imaging.output("e2fsck", "-fn", file)
    assert imaging.debugfs(file, "cat /etc/hostname").startswith("demo\n")
    program = imaging.debugfs(file, "stat /bin/program")
    assert "Mode:  04755" in program and "Links: 2" in program
    user, group = imaging.OWNER
    assert f"User: {user:5}   Group: {group:5}" in imaging.debugfs(file, "stat /home/user/note")
    assert f"({len(imaging.CAPABILITY)})" in imaging.debugfs(file, "ea_list /bin/program")
    assert "system" in imaging.output("dumpe2fs", "-h", file)


def test_without_a_part_line_a_loop_image_is_as_large_as_its_content_asks(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    (place.tree / "large").write_bytes(os.urandom(30 << 20))
    imaging.make(imaging.plan("loop"), place)
    assert 40 << 20 < (place.out / "demo.img").stat().st_size < 80 << 20
    imaging.output("e2fsck", "-fn", place.out / "demo.img")


def test_each_partition_has_its_mount_points_content_and_nothing_else(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    before = sorted((path, path.lstat().st_mode) for path in place.tree.rglob("*"))
    plan = imaging.plan("raw", (BOOT, SWAP, HOME, ROOT, EFI))
    imaging.make(plan, place)
    disk = place.out / "demo-sda.raw"
    boot, home, root, esp = (imaging.cut(disk, number, tmp_path / str(number)) for number in (1, 3, 5, 6))
    for file in (boot, home, root):
        imaging.output("e2fsck", "-fn", file)
    imaging.output("fsck.fat", "-n", esp)
    assert "vmlinuz-6.1.0" in imaging.debugfs(boot, "ls -l /") and "efi" in imaging.debugfs(boot, "ls -l /")
    user, group = imaging.OWNER
    assert f"40700 (2) {user} {group}" in " ".join(imaging.debugfs(home, "ls -l /").split())
    assert imaging.debugfs(home, "cat /user/note").startswith("at home\n")
    assert "not found" in imaging.debugfs(root, "stat /boot/vmlinuz-6.1.0")
    assert "Type: directory" in imaging.debugfs(root, "stat /boot")
    assert f"UUID:  {identity.filesystem(plan, SWAP)}" in imaging.output(
        "swaplabel", imaging.cut(disk, 2, tmp_path / "2")
    )
    # Made for the ESP, boot/efi is new; all else is as it was.
    after = sorted((path, path.lstat().st_mode) for path in place.tree.rglob("*"))
    assert [each for each in after if each[0].name not in ("efi", "fstab")] == before


def test_a_raw_image_stays_sparse(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    imaging.make(imaging.plan("raw", (Partition("/", 2000),)), place)
    file = (place.out / "demo-sda.raw").stat()
    assert file.st_size > 2000 << 20 and file.st_blocks * 512 < 80 << 20


def test_content_that_does_not_fit_is_told_with_line_and_sizes_and_leaves_the_tree_whole(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    (place.tree / "home/large").write_bytes(os.urandom(12 << 20))
    plan = imaging.plan("raw", (ROOT, Partition("/home", 10, "ext4", line=7)))
    with pytest.raises(BuildError) as told:
        imaging.make(plan, place)
    assert told.value.cause == "image-too-small"
    assert "demo.ks, line 7: part /home has 10 MiB, its content needs about 1" in told.value.message
    assert (place.tree / "home/large").exists() and not (place.build / "image").exists()


@pytest.mark.parametrize(("fstype", "count"), [("ext4", 0), ("vfat", 0), ("ext4", 9000)])
def test_what_the_tool_itself_finds_too_large_is_told_in_the_same_way(
    tmp_path: Path, fstype: str, count: int
) -> None:
    place = imaging.workplace(tmp_path / "a")
    (place.tree / "data").mkdir()
    # Just below what a quick look at the sizes refuses, or many empty files.
    (place.tree / "data/large").write_bytes(os.urandom(0 if count else (2 << 20) - 4096))
    for number in range(count):
        (place.tree / f"data/{number}").touch()
    with pytest.raises(BuildError) as told:
        imaging.make(imaging.plan("raw", (ROOT, Partition("/data", 2, fstype, line=7))), place)
    assert told.value.cause == "image-too-small"
    assert "demo.ks, line 7: part /data has 2 MiB" in told.value.message


def test_a_full_disk_is_told_as_that(tmp_path: Path) -> None:
    """On a tmpfs of 6 MiB in a mount namespace of its own."""
    script = f"""
import os
from pathlib import Path
from imgcore.errors import BuildError
from tests.support import imaging
from imgcore.creator.plan import Partition
place = imaging.workplace(Path({str(tmp_path)!r}) / "small" / "a")
imaging.fill(place.tree, owner=(0, 0))
(place.tree / "large").write_bytes(os.urandom(3 << 20))
for plan in (imaging.plan("loop", (Partition("/", 64),)), imaging.plan("raw", (Partition("/", 64, "vfat"),)),
             imaging.plan("fs", pack_to="x.tar"), imaging.plan("fs", pack_to="x.tar.zst")):
    (place.tree / "etc/link").unlink(missing_ok=True)
    try:
        print(imaging.make(plan, place))
    except BuildError as error:
        print(error.cause, error.message)
    for left in place.out.iterdir():
        left.unlink()
"""
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=6m none '{tmp_path}/small' && exec '{sys.executable}' -c \"$0\""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, script],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["disk-full"] * 4, done.stdout + done.stderr


def test_an_ordinary_user_namespace_is_enough_and_gives_the_same_bytes(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.imgcore.creator.image import test_image as here
# One user is all that such a namespace maps.
here.built(Path(sys.argv[1]), here.imaging.plan("raw", (here.BIOSBOOT, here.EFI, here.ROOT), boot_loader=here.GPT),
           owner=(0, 0))
"""
    unshare = ["unshare", "--user", "--map-root-user"]
    # An ordinary user cannot build files of root's outside; two namespaces must then do.
    for name, entered in (("a", unshare), ("b", [] if os.geteuid() == 0 else unshare)):
        subprocess.run([*entered, sys.executable, "-c", script, str(tmp_path / name)], check=True, cwd=REPOSITORY)
    assert (tmp_path / "a/out/demo-sda.raw").read_bytes() == (tmp_path / "b/out/demo-sda.raw").read_bytes()


def with_own_line(place: Path, line: str) -> None:
    """Let the only menu entry say `line` and stop, for want of a kernel."""
    menu = place / "boot/grub/grub.cfg"
    text = menu.read_text()
    assert "--id 6.1.0 {\n" in text
    menu.write_text(text.replace("--id 6.1.0 {\n", f'--id 6.1.0 {{\necho "{line}"\nsleep 1\nhalt\n'))


@pytest.mark.parametrize(
    ("partitions", "loader", "firmware", "platform"),
    [
        ((SWAP, BOOT, HOME, ROOT, Partition("/data", 5)), WITH_LOADER, (), "pc"),
        ((HOME, BIOSBOOT, ROOT), GPT, (), "pc"),
        ((EFI, ROOT), GPT, ("-bios", "/usr/share/OVMF/OVMF_CODE.fd"), "efi"),
    ],
    ids=["BIOS, MBR, own /boot", "BIOS, GPT", "UEFI, GPT"],
)
def test_it_boots_to_its_menu(
    tmp_path: Path, partitions: tuple[Partition, ...], loader: BootLoader, firmware: tuple[str, ...], platform: str
) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    plan = imaging.plan("raw", partitions, boot_loader=loader)
    image.prepare(plan, place.tree)
    with_own_line(place.tree, "This is $grub_platform, $prefix")
    imaging.make(plan, place)
    said = imaging.boot(place.out / "demo-sda.raw", "This is", *firmware)
    assert f"This is {platform}" in said


def test_a_kernel_that_a_script_brings_is_in_the_menu(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    plan = imaging.plan("raw", (ROOT,), boot_loader=WITH_LOADER, scripts=(Script("post", "true"),))
    assert image.prepare(plan, place.tree) == []
    imaging.fill(place.tree)
    imaging.make(plan, place)
    root = imaging.cut(place.out / "demo-sda.raw", 1, tmp_path / "root")
    assert "vmlinuz-6.1.0" in imaging.debugfs(root, "cat /boot/grub/grub.cfg")


def test_without_the_tool_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcore.creator.image.tools._search_path", lambda: "/nowhere")
    place = imaging.workplace(tmp_path / "a")
    with pytest.raises(BuildError) as told:
        imaging.make(imaging.plan("loop", (ROOT,)), place)
    assert told.value.cause == "tool-missing" and "e2fsprogs" in told.value.remedy


def test_btrfs_is_made_with_a_warning_that_it_is_not_reproducible(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    plan = imaging.plan("raw", (Partition("/", 160, "btrfs", line=3),), boot_loader=WITH_LOADER)
    assert any("not reproducible" in each for each in image.prepare(plan, place.tree))
    imaging.make(plan, place)
    root = imaging.cut(place.out / "demo-sda.raw", 1, tmp_path / "root")
    imaging.output("btrfs", "check", root)
    (tmp_path / "restored").mkdir()
    imaging.output("btrfs", "restore", root, tmp_path / "restored")
    assert (tmp_path / "restored/home/user/note").read_text() == "at home\n"


def test_an_archive_of_a_loop_image_gives_the_image_back(tmp_path: Path) -> None:
    packed = built(tmp_path / "a", EVERY_TYPE["loop, packed"])
    plain = built(tmp_path / "b", EVERY_TYPE["loop ext4"])
    assert list(packed) == ["demo.tar.gz"]
    imaging.output("tar", "-C", tmp_path, "-xf", tmp_path / "a/out/demo.tar.gz")
    assert (tmp_path / "demo.img").read_bytes() == plain["demo.img"]


@pytest.mark.parametrize(("method", "command"), [("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz"), ("zst", "zstd")])
def test_a_compressed_disk_gives_the_disk_back(tmp_path: Path, method: str, command: str) -> None:
    found = built(tmp_path / "a", EVERY_TYPE[f"raw, {method}"])
    assert set(found) == {f"demo-sda.raw.{method}", "demo-sda.raw.bmap"}
    plain = built(tmp_path / "b", imaging.plan("raw", (SMALL,)))
    with (tmp_path / f"a/out/demo-sda.raw.{method}").open("rb") as source:
        unpacked = subprocess.run([command, "-dc"], stdin=source, capture_output=True, check=True).stdout
    assert unpacked == plain["demo-sda.raw"]
    assert found["demo-sda.raw.bmap"] == plain["demo-sda.raw.bmap"]


def refused(change: Callable[[Path], object], plan: Plan, folder: Path) -> BuildError:
    place = imaging.workplace(folder)
    imaging.fill(place.tree)
    change(place.tree)
    with pytest.raises(BuildError) as told:
        imaging.make(plan, place)
    return told.value


def nothing(tree: Path) -> None:
    """Change nothing."""


def link_in_esp(tree: Path) -> None:
    (tree / "boot/efi").mkdir()
    (tree / "boot/efi/x").symlink_to("y")


@pytest.mark.parametrize(
    ("change", "plan", "cause", "says"),
    [
        (
            lambda tree: shutil.rmtree(tree / "boot"),
            EVERY_TYPE["raw, MBR"],
            "boot-loader",
            "line 9: bootloader: there is no kernel",
        ),
        (nothing, imaging.plan("raw", (ROOT,), boot_loader=GPT), "boot-loader", "line 9: bootloader: a GPT"),
        (nothing, imaging.plan("raw", (HOME,)), "unsupported", "no part line for /"),
        (
            nothing,
            imaging.plan("loop", (Partition("/", 9, "zfs", line=4),)),
            "unsupported",
            "line 4: part /: the file system type zfs",
        ),
        (
            lambda tree: (tree / "data").symlink_to("home"),
            imaging.plan("raw", (ROOT, Partition("/data", 5))),
            "unsupported",
            "/data is a symbolic link",
        ),
        (link_in_esp, imaging.plan("raw", (ROOT, EFI)), "unsupported", "'/x'"),
        (nothing, imaging.plan("fs", pack_to="x.zip"), "unsupported", "x.zip"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    tmp_path: Path, change: Callable[[Path], object], plan: Plan, cause: str, says: str
) -> None:
    error = refused(change, plan, tmp_path / "a")
    assert error.cause == cause and says in error.message


def test_kernels_are_copied_out_under_the_images_name(tmp_path: Path) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    made = image.copy_kernels(imaging.plan(), place.tree, place.out)
    assert made == [
        image.Made("demo-vmlinuz-6.1.0", "kernel"),
        image.Made("demo-initramfs-6.1.0.img", "initrd"),
    ]
    assert (place.out / "demo-vmlinuz-6.1.0").read_bytes() == (place.tree / "boot/vmlinuz-6.1.0").read_bytes()
