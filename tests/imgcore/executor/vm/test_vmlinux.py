# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/vmlinux.py: what a packed kernel is unpacked to, and when it stays as it is."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcore.executor.vm.initramfs import find_kernel
from imgcore.executor.vm.vmlinux import unpacked

_PVH, _OTHER = 18, 6


def elf(note: int = _PVH) -> bytes:
    """An ELF file with one note of Xen's behind one that is not, and many zeros."""
    notes = struct.pack("<III", 4, 3, note) + b"GNU\0" + b"abc\0"
    notes += struct.pack("<III", 4, 8, note) + b"Xen\0" + bytes(8)
    header = b"\x7fELF\x02\x01" + bytes(26) + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 1)
    program = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(notes), 0, 0)
    return header.ljust(64, b"\0") + program + notes + bytes(1 << 20) + b"end"


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, capture_output=True, check=True).stdout


def packed(payload: bytes) -> bytes:
    """A bzImage with two sectors of set-up before the code that unpacks `payload`, and the size behind that."""
    image = bytearray(512 * 3)
    image[0x1F1], image[0x202:0x206] = 2, b"HdrS"
    struct.pack_into("<II", image, 0x248, 100, len(payload))
    return bytes(image) + bytes(100) + payload + b"what follows"


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda content: lzma.compress(content) + b"size", id="xz"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(lambda content: zstd(content) + b"size", id="zstd"),
    ],
)
def test_a_packed_kernel_is_unpacked_once_and_kept(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz-1"
    image.write_bytes(packed(pack(elf())))
    found = unpacked(image, tmp_path / "kernels")
    assert found.parent == tmp_path / "kernels" and found.read_bytes() == elf()
    assert found.stat().st_blocks * 512 < 1 << 19 and found.stat().st_mode & 0o777 == 0o644
    found.write_bytes(b"as it was")
    assert unpacked(image, tmp_path / "kernels").read_bytes() == b"as it was"


def test_another_kernel_of_that_name_replaces_it(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz-1"
    for content in (elf() + b"old", elf()):
        image.write_bytes(packed(gzip.compress(content)))
        os.utime(image, (1, len(content)))
        assert unpacked(image, tmp_path / "kernels").read_bytes() == content
    assert len(list((tmp_path / "kernels").iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(packed(gzip.compress(elf(_OTHER))), id="no entry for it"),
        pytest.param(packed(gzip.compress(b"no ELF file")), id="something else inside"),
        pytest.param(packed(b"\xfd7zXZ" + bytes(50)), id="damaged"),
        pytest.param(packed(b"\x1f\x8b" + bytes(50)), id="damaged otherwise"),
        pytest.param(packed(b"LZ"), id="packed in an unknown way"),
        pytest.param(packed(gzip.compress(elf()[:110])), id="cut off"),
        pytest.param(b"MZ" + bytes(600), id="no bzImage"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_cannot_be_started_so_is_taken_as_it_is(content: bytes, tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz-1"
    image.write_bytes(content)
    assert unpacked(image, tmp_path / "kernels") == image


def test_where_it_cannot_be_kept_the_packed_one_is_taken(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz-1"
    image.write_bytes(packed(gzip.compress(elf())))
    assert unpacked(image, tmp_path / "not" / "there") == image


@pytest.mark.real
def test_this_machines_kernel_is_one_that_qemu_starts_itself(tmp_path: Path) -> None:
    image = find_kernel().image
    found = unpacked(image, tmp_path)
    assert found.parent == tmp_path and found.read_bytes()[:4] == b"\x7fELF"
    assert [each.name for each in tmp_path.iterdir()] == [found.name]
