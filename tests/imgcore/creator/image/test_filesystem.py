# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/filesystem.py and what it stands on: ext, ext_inodes, fat, content, identity."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from imgcore.creator.image import content, ext, filesystem, identity
from imgcore.creator.plan import Partition
from imgcore.errors import BuildError
from tests.support import imaging

MIB = 1 << 20


def made(folder: Path, part: Partition, size: int, offset: int = 0) -> tuple[Path, list[tuple[int, int]]]:
    """The image file with `folder`/tree in it at `offset`, and what is in use of it."""
    tree, scratch = folder / "tree", folder / "scratch"
    scratch.mkdir()
    file = folder / "image"
    with file.open("wb") as target:
        target.truncate(offset + size)
    amount = content.measure(tree, imaging.EPOCH)
    plan = imaging.plan("raw", (part,))
    used = filesystem.make(plan, part, filesystem.Place(file, offset, size), tree, amount, scratch)
    if offset:
        assert file.read_bytes()[:offset] == bytes(offset)
        file.write_bytes(file.read_bytes()[offset:])
    return file, used


@pytest.mark.real
@pytest.mark.parametrize("size", [3, 20, 40, 300])
@pytest.mark.parametrize("fstype", ["ext2", "ext3", "ext4"])
def test_an_ext_file_system_of_any_size_is_clean_at_any_place(tmp_path: Path, fstype: str, size: int) -> None:
    (tmp_path / "tree").mkdir()
    imaging.fill(tmp_path / "tree")
    file, used = made(tmp_path, Partition("/", size, fstype, label="the label"), size * MIB, 3 * MIB)
    said = imaging.output("e2fsck", "-fn", file)
    assert "the_label" in said
    free = re.search(r"(\d+)/(\d+) blocks", said)
    assert free is not None
    block = size * MIB // int(free[2])
    # The bitmaps' count, but for copies of the super block in groups that were never written.
    assert 0 <= int(free[1]) - sum(end - start for start, end in used) // block < 300


@pytest.mark.real
def test_every_inodes_times_are_the_plans_or_older_and_its_checksum_right(tmp_path: Path) -> None:
    (tmp_path / "tree/many").mkdir(parents=True)
    for number in range(3000):
        (tmp_path / f"tree/many/{number}").write_text("x")
    os.utime(tmp_path / "tree/many/7", (imaging.EPOCH - 500.5, imaging.EPOCH - 500.5))
    file, _ = made(tmp_path, Partition("/", 40), 40 * MIB)
    assert "/40960 files" not in imaging.output("e2fsck", "-fn", file)
    told = imaging.debugfs(file, "stat /many/7")
    seconds = {int(found, 16) for found in re.findall(r"time: (0x[0-9a-f]+):00000000", told)}
    assert seconds == {imaging.EPOCH, imaging.EPOCH - 501}
    assert len(re.findall(r"time: 0x", told)) == 4
    everything = imaging.debugfs(file, "ls -l /many")
    assert set(re.findall(r"\d\d-\w\w\w-\d{4}", everything)) == {"14-Nov-2023"}


@pytest.mark.real
def test_the_root_directory_keeps_its_owner_mode_and_attributes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir(0o700)
    user, group = (70000, 80000) if os.geteuid() == 0 else imaging.OWNER
    os.chown(tree, user, group)
    tree.chmod(0o1770)
    os.setxattr(tree, "user.note", b"of the root")
    file, _ = made(tmp_path, Partition("/", 8), 8 * MIB)
    imaging.output("e2fsck", "-fn", file)
    told = imaging.debugfs(file, "stat /")
    assert "Mode:  01770" in told and f"User: {user:5}   Group: {group:5}" in told
    assert "of the root" in imaging.debugfs(file, "ea_list /")


@pytest.mark.real
@pytest.mark.parametrize(("size", "bits"), [(2, 12), (20, 16), (40, 32)])
def test_an_esp_is_clean_and_fat32_where_it_is_large_enough(tmp_path: Path, size: int, bits: int) -> None:
    tree = tmp_path / "tree"
    (tree / "EFI/Ubuntu Längst").mkdir(parents=True)
    for name in ("a.efi", "EFI/Ubuntu Längst/a long name.cfg", "EFI/-m", "EFI/[x]"):
        (tree / name).write_text(name)
    (tree / "large").write_bytes(os.urandom(600_000))
    os.utime(tree / "a.efi", (1_500_000_000, 1_500_000_000))
    part = Partition("/boot/efi", size, "efi", label="ESP")
    file, _ = made(tmp_path, part, size * MIB, MIB)
    assert f"FAT{bits}" in imaging.output("fsck.fat", "-nv", file).replace(f"{bits} bit entries", f"FAT{bits}")
    out = tmp_path / "out"
    out.mkdir()
    imaging.output("mcopy", "-s", "-i", file, "::", out)
    imaging.output("diff", "-r", tree, out)
    serial = filesystem.uuid_text(imaging.plan("raw", (part,)), part)
    told = imaging.output("mdir", "-i", file, "::")
    assert serial in told and len(serial) == 9
    assert {*re.findall(r"\d{4}-\d\d-\d\d", told)} == {"2017-07-14", "2023-11-14"}


@pytest.mark.parametrize("bad", ["link", "A b", "x:y", "end.", "pipe"])
def test_what_fat_cannot_hold_is_refused_by_name(tmp_path: Path, bad: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a B").write_text("x")
    if bad == "link":
        (tree / bad).symlink_to("a B")
    elif bad == "pipe":
        os.mkfifo(tree / bad)
    else:
        (tree / bad).write_text("x")
    with pytest.raises(BuildError) as told:
        made(tmp_path, Partition("/d", 4, "vfat"), 4 * MIB)
    assert told.value.cause == "unsupported" and "/d" not in told.value.message
    assert f"'/{bad}'" in told.value.message or f"differs from {bad}" in told.value.message


@pytest.mark.real
@pytest.mark.parametrize("fstype", ["ext2", "ext4", "vfat", "btrfs"])
def test_content_fits_into_the_size_that_is_chosen_for_it(tmp_path: Path, fstype: str) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(600):
        (tmp_path / f"tree/{number}").write_bytes(b"1" * (number * 37))
    (tmp_path / "tree/large").write_bytes(os.urandom(20 * MIB))
    part = Partition("/", 0, fstype)
    size = filesystem.automatic_size(part, content.measure(tmp_path / "tree", imaging.EPOCH))
    assert size < (200 if fstype == "btrfs" else 64) * MIB
    made(tmp_path, part, size)


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (Partition("/", 1), "ext4"),
        (Partition("/boot/efi", 1, "efi"), "vfat"),
        (Partition("swap", 1), "swap"),
        (Partition("biosboot", 1), "biosboot"),
        (Partition("", 1), "raw"),
        (Partition("/x", 1, "xfs"), "xfs"),
    ],
)
def test_a_partitions_kind_follows_from_its_line(part: Partition, what: str) -> None:
    assert filesystem.kind(part) == what


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (Partition("/x", 1, "xfs", line=4), "xfs"),
        (Partition("/x", 1, "vfat", label="twelve bytes", line=4), "longer than the 11 bytes"),
        (Partition("/x", 1, label="ä" * 9, line=4), "longer than the 16 bytes"),
        (Partition("/x", 1, uuid="nonsense", line=4), "not a UUID"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_before_anything_is_built(part: Partition, says: str) -> None:
    with pytest.raises(BuildError, match=r"demo\.ks, line 4: part /x") as told:
        filesystem.check(imaging.plan("raw", (part,)), part)
    assert says in told.value.message and told.value.cause == "unsupported"


def test_identifiers_follow_from_the_plan_and_differ_from_each_other() -> None:
    swaps = (Partition("swap", 1, line=1), Partition("swap", 1, line=2))
    parts = (Partition("/", 1), Partition("/home", 1), Partition("/home", 1, disk="sdb"), *swaps)
    plan, again = imaging.plan("raw", parts), imaging.plan("raw", parts)
    found = [identity.filesystem(plan, part) for part in parts]
    assert len(set(found)) == 5 and found == [identity.filesystem(again, part) for part in parts]
    asked = Partition("/", 1, uuid="12345678-1234-1234-1234-123456789abc")
    assert str(identity.filesystem(plan, asked)) == asked.uuid


def test_shares_leave_the_tree_and_come_back_even_after_an_error(tmp_path: Path) -> None:
    tree, stage = tmp_path / "tree", tmp_path / "stage"
    (tree / "boot/efi/EFI").mkdir(parents=True)
    (tree / "boot/vmlinuz").write_text("k")
    (tree / "boot/efi").chmod(0o700)
    stage.mkdir()
    shutil.copytree(tree, tmp_path / "before")
    with pytest.raises(ZeroDivisionError):
        with content.shared_out(tree, ["/", "/boot", "/boot/efi"], stage) as shares:
            assert sorted(path.name for path in shares["/boot"].iterdir()) == ["efi", "vmlinuz"]
            assert list((shares["/boot"] / "efi").iterdir()) == [] and list((tree / "boot").iterdir()) == []
            assert (shares["/boot"] / "efi").stat().st_mode & 0o777 == 0o700
            assert [path.name for path in shares["/boot/efi"].iterdir()] == ["EFI"]
            raise ZeroDivisionError
    imaging.output("diff", "-r", tmp_path / "before", tree)
    assert list(stage.iterdir()) == []


def test_measuring_counts_blocks_once_and_sets_times_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    os.link(tmp_path / "file", tmp_path / "again")
    (tmp_path / "link").symlink_to("nowhere")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100 * MIB)
    amount = content.measure(tmp_path, imaging.EPOCH)
    assert amount == content.Amount(8192, 3)
    for path in (tmp_path, *tmp_path.iterdir()):
        assert path.lstat().st_mtime == imaging.EPOCH


def test_the_size_needed_grows_with_what_is_in_it() -> None:
    for fstype in ("ext2", "ext3", "ext4"):
        needed = [ext.needed(content.Amount(size * MIB, size), fstype) for size in (0, 1, 10, 100, 1000)]
        assert needed == sorted(needed) and all(each % MIB == 0 for each in needed)
        assert 1000 * MIB < needed[-1] < 1120 * MIB
