# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/fstab.py."""

from __future__ import annotations

from imgcore.creator.image import fstab
from imgcore.creator.plan import Partition
from tests.support import imaging

PARTS = (
    Partition("biosboot", 1, "biosboot"),
    Partition("swap", 8, "swap"),
    Partition("/", 64, options="noatime"),
    Partition("/boot/efi", 40, "efi", uuid="12345678-1234-1234-1234-123456789abc"),
    Partition("/srv/a b", 40, "btrfs"),
)


def lines(present: str = "") -> list[list[str]]:
    text = fstab.render(imaging.plan("raw", PARTS), present)
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


def test_every_file_system_is_there_by_uuid_and_checked_as_it_should_be() -> None:
    assert [line[1:] for line in lines()] == [
        ["/", "ext4", "noatime", "0", "1"],
        ["/boot/efi", "vfat", "defaults", "0", "2"],
        ["/srv/a\\040b", "btrfs", "defaults", "0", "0"],
        ["none", "swap", "sw", "0", "0"],
    ]
    sources = [line[0] for line in lines()]
    assert sources[1] == "UUID=1234-5678" and len(set(sources)) == 4
    assert all(source.startswith("UUID=") for source in sources)


def test_lines_of_packages_for_other_mount_points_stay() -> None:
    present = "# comment\n/dev/sda1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs size=50m 0 0\n\nbroken\n"
    assert ["tmpfs", "/tmp", "tmpfs", "size=50m", "0", "0"] in lines(present)
    assert len(lines(present)) == len(lines()) + 1


def test_writing_it_again_changes_nothing() -> None:
    plan = imaging.plan("raw", PARTS)
    once = fstab.render(plan, "tmpfs /tmp tmpfs defaults 0 0\n")
    assert fstab.render(plan, once) == once
