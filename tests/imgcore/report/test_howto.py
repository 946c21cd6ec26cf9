# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.report import howto


def commands(name: str, kind: str = "image", *, image_type: str = "raw", arch: str = "x86_64",
             beside: tuple[str, ...] = ()) -> str:  # fmt: skip
    return "\n".join(
        each.command for each in howto.steps(name, kind, image_type=image_type, arch=arch, beside=beside)
    )


def test_a_raw_image_is_written_by_dd_and_booted() -> None:
    told = commands("d-sda.raw")
    assert "dd if=d-sda.raw of=/dev/sdX" in told
    assert "qemu-system-x86_64 -m 1024 -drive file=d-sda.raw,format=raw,if=virtio" in told
    assert "bmaptool" not in told


@pytest.mark.parametrize("bmap", ["d-sda.raw.bmap", "d-sda.raw.xz.bmap"])
def test_with_a_bmap_beside_it_bmaptool_comes_first(bmap: str) -> None:
    assert commands("d-sda.raw.xz", beside=(bmap,)).startswith("sudo bmaptool copy d-sda.raw.xz /dev/sdX")


def test_a_compressed_image_is_uncompressed_on_the_way() -> None:
    told = commands("d-sda.raw.zst", arch="aarch64")
    assert "zstd -dc d-sda.raw.zst | sudo dd of=/dev/sdX" in told
    assert "qemu" not in told


def test_a_loop_image_is_mounted_and_boots_only_with_a_kernel() -> None:
    assert commands("d.img", image_type="loop") == "sudo mount -o loop,ro d.img /mnt"
    told = commands("d.img", image_type="loop", beside=("d-vmlinuz-6.1", "d-initrd-6.1.img"))
    assert "-kernel d-vmlinuz-6.1 -initrd d-initrd-6.1.img" in told


def test_an_archive_of_a_root_file_system_is_unpacked_with_its_owners() -> None:
    told = commands("d.tar.bz2", "archive", image_type="fs")
    assert "sudo tar --numeric-owner --xattrs --xattrs-include='*' -xpf d.tar.bz2 -C DIRECTORY" in told
    assert "podman import d.tar.bz2 d" in told


def test_other_files_come_without_advice() -> None:
    assert commands("d.bmap", "bmap") == ""
    assert commands("notes", "attachment") == ""


def test_the_check_is_what_sha256sum_reads() -> None:
    step = howto.check("a b.raw", "ab" * 32)
    assert shlex.split(step.command) == ["echo", f"{'ab' * 32}  a b.raw", "|", "sha256sum", "-c"]


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8", exclude_characters="\0/")))
def test_a_name_is_one_word_of_the_shell_and_no_option(name: str) -> None:
    words = shlex.split(howto.quoted(name))
    assert words == [name] or words == [f"./{name}"]
    assert not words[0].startswith("-")


def test_a_hostile_name_runs_nothing(tmp_path: object) -> None:
    name = "$(touch owned)`touch owned`;touch owned.raw"
    for step in howto.steps(name, "image", image_type="raw", arch="x86_64", beside=()):
        harmless = step.command.replace("sudo ", "echo ").replace("qemu-system-x86_64", "echo")
        done = subprocess.run(["sh", "-c", harmless], cwd=str(tmp_path), capture_output=True, text=True, check=True)
        assert "touch owned" in done.stdout
    assert subprocess.run(["ls", str(tmp_path)], capture_output=True, text=True, check=True).stdout == ""
