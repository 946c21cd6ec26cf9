# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/disk.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.creator.image import disk, identity
from imgcore.creator.plan import BootLoader, Partition, Plan
from imgcore.errors import BuildError
from tests.support import imaging

MIB = 1 << 20


def with_table(kind: str, *parts: Partition) -> Plan:
    return imaging.plan("raw", parts, boot_loader=BootLoader(table=kind))


def written(plan: Plan, file: Path) -> disk.Disk:
    laid_out = disk.lay_out(plan, "sda", plan.partitions, [part.size * MIB for part in plan.partitions])
    with file.open("wb") as target:
        target.truncate(laid_out.sectors * disk.SECTOR)
    disk.write(plan, laid_out, file)
    return laid_out


def test_an_mbr_is_what_sfdisk_reads(tmp_path: Path) -> None:
    plan = with_table(
        "msdos", Partition("/boot/efi", 40, "efi"), Partition("swap", 8), Partition("/", 64, active=True, align=4096)
    )
    written(plan, tmp_path / "demo.raw")
    found = imaging.table(tmp_path / "demo.raw")
    assert (found["label"], int(found["id"], 16)) == ("dos", identity.disk_signature(plan, "sda"))
    assert [
        (each["start"], each["size"], each["type"], each.get("bootable", False)) for each in found["partitions"]
    ] == [
        (2048, 40 * 2048, "ef", False),
        (41 * 2048, 8 * 2048, "82", False),
        (52 * 2048, 64 * 2048, "83", True),
    ]
    imaging.output("sfdisk", "--verify", tmp_path / "demo.raw")


def test_more_than_four_partitions_of_an_mbr_are_logical_from_the_fourth(tmp_path: Path) -> None:
    plan = with_table("msdos", *(Partition(f"/{number}", 4 + number) for number in range(7)))
    laid_out = written(plan, tmp_path / "demo.raw")
    found = imaging.table(tmp_path / "demo.raw")["partitions"]
    numbers = [int(each["node"].removeprefix(str(tmp_path / "demo.raw"))) for each in found]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8] and found[3]["type"] == "f"
    real = [each for each in found if each["type"] != "f"]
    assert [(each["start"], each["size"]) for each in real] == [(slot.start, slot.sectors) for slot in laid_out.slots]
    assert [slot.number for slot in laid_out.slots] == [1, 2, 3, 5, 6, 7, 8]
    assert laid_out.slots[3].part_uuid == f"{identity.disk_signature(plan, 'sda'):08x}-05"
    assert disk.part_uuid(plan, plan.partitions[6]) == laid_out.slots[6].part_uuid
    imaging.output("sfdisk", "--verify", tmp_path / "demo.raw")


def test_a_gpt_is_what_sfdisk_reads(tmp_path: Path) -> None:
    plan = with_table(
        "gpt",
        Partition("biosboot", 1, "biosboot"),
        Partition("/boot/efi", 40, "efi", label="ESP"),
        Partition("/", 64, active=True),
        Partition("/var", 9, part_type="4D21B016-B534-45C2-A9FB-5C16E091FD2D"),
    )
    laid_out = written(plan, tmp_path / "demo.raw")
    imaging.output("sfdisk", "--verify", tmp_path / "demo.raw")
    found = imaging.table(tmp_path / "demo.raw")
    assert found["id"].lower() == str(identity.disk_guid(plan, "sda"))
    got = found["partitions"]
    assert [each["type"][:8] for each in got] == ["21686148", "C12A7328", "0FC63DAF", "4D21B016"]
    assert [each["name"] for each in got] == ["biosboot", "ESP", "/", "/var"]
    assert [each["uuid"].lower() for each in got] == [slot.part_uuid for slot in laid_out.slots]
    assert got[2]["attrs"] == "LegacyBIOSBootable"


def test_the_copy_at_the_end_of_a_gpt_alone_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "demo.raw"
    written(with_table("gpt", Partition("/", 5)), file)
    before = imaging.table(file)["partitions"]
    with file.open("r+b") as target:
        target.seek(512)
        target.write(bytes(33 * 512))
    assert imaging.table(file)["partitions"] == before


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["msdos", "gpt"]),
    parts=st.lists(
        st.tuples(st.integers(1, 5000), st.sampled_from([1, 4, 64, 1024, 3000, 4096])), min_size=1, max_size=12
    ),
)
def test_partitions_are_aligned_and_never_overlap(kind: str, parts: list[tuple[int, int]]) -> None:
    plan = with_table(kind, *(Partition(f"/{i}", size, align=align) for i, (size, align) in enumerate(parts)))
    laid_out = disk.lay_out(plan, "sda", plan.partitions, [part.size * MIB for part in plan.partitions])
    end = 2048
    for slot in laid_out.slots:
        if slot.record:
            assert slot.record >= end
            end = slot.record + 1
        assert slot.start >= end and slot.start % (slot.part.align * 2) == 0
        assert slot.sectors == slot.part.size * 2048
        end = slot.start + slot.sectors
    assert laid_out.sectors >= end + (33 if kind == "gpt" else 0) and laid_out.sectors % 2048 == 0


@pytest.mark.parametrize(
    ("table", "given_type", "read"), [("msdos", "0xb", "b"), ("msdos", "EF00", "ef"), ("gpt", "8200", "0657FD6D")]
)
def test_a_partitions_type_can_be_chosen(tmp_path: Path, table: str, given_type: str, read: str) -> None:
    written(with_table(table, Partition("/", 5, part_type=given_type)), tmp_path / "demo.raw")
    assert imaging.table(tmp_path / "demo.raw")["partitions"][0]["type"].startswith(read)


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("msdos", Partition("/", 5, part_type="0FC63DAF-8483-4772-8E79-3D69D8477DE4", line=3)),
        ("msdos", Partition("/", 3 << 20, line=3)),
        ("gpt", Partition("/", 5, part_type="0x83", line=3)),
    ],
)
def test_what_a_table_cannot_say_is_refused_with_the_line(tmp_path: Path, table: str, part: Partition) -> None:
    with pytest.raises(BuildError, match=r"demo\.ks, line 3: part /") as told:
        written(with_table(table, part), tmp_path / "demo.raw")
    assert told.value.cause == "unsupported"


def test_the_boot_loaders_code_is_left_alone(tmp_path: Path) -> None:
    plan = with_table("msdos", Partition("/", 5))
    laid_out = written(plan, tmp_path / "demo.raw")
    with (tmp_path / "demo.raw").open("r+b") as target:
        target.write(b"code" * 110)
    disk.write(plan, laid_out, tmp_path / "demo.raw")
    assert (tmp_path / "demo.raw").read_bytes()[:440] == b"code" * 110
