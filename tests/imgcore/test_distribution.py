# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/distribution.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcore.distribution import install_command


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian\n", "apt install xz-utils grub-pc-bin zstd"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt install xz-utils grub-pc-bin zstd"),
        ("ID=fedora\n", "dnf install xz grub2-pc-modules zstd"),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\n', "dnf install xz grub2-pc-modules zstd"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper install xz grub2-i386-pc zstd"),
        ("nothing that is known\n", "apt install xz-utils grub-pc-bin zstd"),
    ],
)
def test_the_command_is_the_distribution_s_with_its_names(tmp_path: Path, release: str, command: str) -> None:
    path = tmp_path / "os-release"
    path.write_text(release)
    prefix = "" if os.geteuid() == 0 else "sudo "
    assert install_command(["xz-utils", "grub-pc-bin", "zstd"], path) == prefix + command


def test_who_is_not_root_is_given_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_command(["zstd"], tmp_path / "gone") == "sudo apt install zstd"


def test_a_package_that_two_names_stand_for_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text("ID=fedora\n")
    assert install_command(["uidmap", "fdisk", "uidmap"], path).endswith("dnf install shadow-utils util-linux")
