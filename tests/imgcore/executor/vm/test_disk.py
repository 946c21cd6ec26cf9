# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/disk.py: what is taken in as a disk needs no other file, and is copied as it is."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from imgcore.errors import BuildError, InputError
from imgcore.executor.vm import disk


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file system with a file in it."""
    (tmp_path / "tree/usr").mkdir(parents=True)
    (tmp_path / "tree/usr/data").write_text("here\n")
    disk.of_tree(tmp_path / "tree", tmp_path / "raw", print)
    return tmp_path / "raw"


@pytest.fixture
def qcow2(raw: Path) -> Path:
    made = raw.with_name("qcow2")
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, made)
    return made


def test_a_tree_becomes_a_file_system_with_its_content_and_room(raw: Path) -> None:
    said = subprocess.run(["debugfs", "-R", "cat /usr/data", raw], capture_output=True, text=True, check=True)
    assert said.stdout == "here\n"
    assert disk.look(raw) == ("raw", raw.stat().st_size) and raw.stat().st_size >= 128 << 20


def test_a_qcow2_image_is_known_by_what_it_is(qcow2: Path, raw: Path) -> None:
    assert disk.look(qcow2) == ("qcow2", raw.stat().st_size)


def test_a_disk_with_partitions_is_one(tmp_path: Path) -> None:
    made = tmp_path / "disk"
    with made.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["sfdisk", "-q", made], input="label: gpt\n,\n", text=True, check=True)
    assert disk.look(made) == ("raw", 8 << 20)


def test_one_that_is_based_on_another_is_refused(qcow2: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-b", qcow2, "-F", "qcow2", qcow2.with_name("over"))
    with pytest.raises(InputError, match=r"needs another one that it is based on .*qemu-img convert"):
        disk.look(qcow2.with_name("over"))


def test_one_with_its_data_in_another_file_is_refused(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path}/data,data_file_raw=on", tmp_path / "head", "1M")
    with pytest.raises(InputError, match="has its data in another file"):
        disk.look(tmp_path / "head")


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (4, struct.pack(">I", 9), "of version 9, not 2 or 3"),
        (32, struct.pack(">I", 1), "is encrypted"),
        (20, struct.pack(">I", 99), "QEMU cannot read this disk image"),
        (24, struct.pack(">Q", 1 << 50), "bytes|QEMU cannot read"),
    ],
)
def test_a_header_that_is_not_right_is_a_sentence(qcow2: Path, at: int, value: bytes, sentence: str) -> None:
    with qcow2.open("r+b") as file:
        file.seek(at)
        file.write(value)
    with pytest.raises(InputError, match=sentence):
        disk.look(qcow2)


@pytest.mark.parametrize("content", [b"", b"text\n" * 1000, b"KDMV" + bytes(4096), b"QFI\xfb"])
def test_what_is_no_disk_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"is no disk image|ends within its header"):
        disk.look(tmp_path / "file")


def test_a_copy_has_the_same_bytes_and_the_same_holes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(64 << 20)
        file.write(b"middle")
        file.truncate(256 << 20)
    disk.copy(tmp_path / "sparse", tmp_path / "copy")
    assert subprocess.run(["cmp", tmp_path / "sparse", tmp_path / "copy"], check=False).returncode == 0
    assert (tmp_path / "copy").stat().st_blocks * 512 < 4 << 20


def test_only_a_file_that_is_no_link_is_copied(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(raw)
    os.mkfifo(tmp_path / "pipe")
    expected = {"link": "symbolic link", "pipe": "not a file", "tree": "not a file", "x": "No such"}
    for name, sentence in expected.items():
        with pytest.raises(InputError, match=sentence):
            disk.copy(tmp_path / name, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_overlay_is_as_large_as_what_is_below_and_leaves_that_alone(qcow2: Path, tmp_path: Path) -> None:
    before = qcow2.read_bytes()
    disk.overlay(qcow2, "qcow2", tmp_path / "over")
    qemu_img("convert", "-U", "-O", "raw", tmp_path / "over", tmp_path / "again")
    assert subprocess.run(["cmp", tmp_path / "again", tmp_path / "raw"], check=False).returncode == 0
    assert qcow2.read_bytes() == before


def test_without_qemu_img_it_says_what_to_install(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw.parent / "bin").mkdir()
    (raw.parent / "bin/timeout").symlink_to("/usr/bin/timeout")
    monkeypatch.setattr(disk, "ENVIRONMENT", {"PATH": str(raw.parent / "bin")})
    with pytest.raises(BuildError, match=r"qemu-img is not there .apt install qemu-utils"):
        disk.look(raw)
