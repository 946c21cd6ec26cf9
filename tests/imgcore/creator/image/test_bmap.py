# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/bmap.py: read as bmaptool reads it, by another reader."""

from __future__ import annotations

import hashlib
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from imgcore.creator.image import bmap
from imgcore.creator.plan import BootLoader, Partition
from tests.support import imaging


def written_by_the_map(image: Path, text: str, device: bytes) -> bytes:
    """What `device` holds after the mapped blocks of `image` went there; the map is checked on the way."""
    content = image.read_bytes()
    tree = ElementTree.fromstring(text)

    def number(name: str) -> int:
        return int(tree.findtext(name, "").strip())

    assert tree.attrib["version"] == "2.0" and tree.findtext("ChecksumType", "").strip() == "sha256"
    assert number("ImageSize") == len(content) and number("BlockSize") == 4096
    assert number("BlocksCount") == -(-len(content) // 4096)
    own = tree.findtext("BmapFileChecksum", "").strip()
    assert hashlib.sha256(text.replace(own, "0" * 64).encode()).hexdigest() == own
    result = bytearray(device)
    mapped = 0
    for each in tree.iterfind("BlockMap/Range"):
        first, _, last = (each.text or "").strip().partition("-")
        start, end = int(first) * 4096, min((int(last or first) + 1) * 4096, len(content))
        assert hashlib.sha256(content[start:end]).hexdigest() == each.attrib["chksum"]
        result[start:end] = content[start:end]
        mapped += int(last or first) - int(first) + 1
    assert mapped == number("MappedBlocksCount")
    return bytes(result)


def test_what_is_mapped_is_what_is_not_zero_and_what_is_in_use(tmp_path: Path) -> None:
    image = tmp_path / "x.raw"
    image.write_bytes(b"a" * 4096 + bytes(8192) + b"b" + bytes(4095) + bytes(40960) + b"end")
    text = bmap.render(image, [(20480, 24576), (28000, 28001)])
    assert [each.strip() for each in re.findall(r"> ([-\d]+) </Range>", text)] == ["0", "3", "5-6", "14"]
    assert written_by_the_map(image, text, b"\0" * image.stat().st_size) == image.read_bytes()


def test_holes_and_zeros_are_the_same_to_it(tmp_path: Path) -> None:
    content = os.urandom(5000) + bytes(3 << 20) + os.urandom(9000) + bytes(2 << 20)
    dense, sparse = tmp_path / "a" / "x.raw", tmp_path / "b" / "x.raw"
    for each in (dense, sparse):
        each.parent.mkdir()
    dense.write_bytes(content)
    with sparse.open("wb") as file:
        file.write(content[:5000])
        file.seek(5000 + (3 << 20))
        file.write(content[5000 + (3 << 20) : -(2 << 20)])
        file.truncate(len(content))
    assert sparse.stat().st_blocks < dense.stat().st_blocks
    assert bmap.render(dense, []) == bmap.render(sparse, [])


@pytest.mark.real
@pytest.mark.parametrize("fstype", ["ext2", "ext3", "ext4", "vfat"])
def test_on_a_device_full_of_other_things_the_mapped_blocks_make_a_clean_file_system(
    tmp_path: Path, fstype: str
) -> None:
    place = imaging.workplace(tmp_path / "a")
    imaging.fill(place.tree)
    (place.tree / "data").mkdir()
    (place.tree / "data/zeros").write_bytes(bytes(300_000))
    parts = (Partition("/", 40), Partition("/data", 24, fstype))
    imaging.make(imaging.plan("raw", parts, boot_loader=BootLoader(location="none")), place)
    image = place.out / "demo-sda.raw"
    text = (place.out / "demo-sda.raw.bmap").read_text()
    rubbish = b"rubbish!" * (image.stat().st_size // 8)
    device = tmp_path / "device-raw"
    device.write_bytes(written_by_the_map(image, text, rubbish))
    assert device.read_bytes() != image.read_bytes()
    with device.open("rb") as file:
        file.seek(41 << 20)
        part = tmp_path / "part"
        part.write_bytes(file.read(24 << 20))
    if fstype == "vfat":
        imaging.output("fsck.fat", "-n", part)
        imaging.output("mcopy", "-i", part, "::zeros", tmp_path / "zeros")
    else:
        imaging.output("e2fsck", "-fn", part)
        imaging.debugfs(part, f"dump /zeros {tmp_path}/zeros")
    assert (tmp_path / "zeros").read_bytes() == bytes(300_000)
