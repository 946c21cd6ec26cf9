# SPDX-License-Identifier: GPL-2.0-or-later
"""The example's raw images start in a virtual machine and are what their kickstarts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import example
from tests.support.virtual_machine import VirtualMachine

pytestmark = pytest.mark.real

FIRMWARE = Path("/usr/share/ovmf/OVMF.fd")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("boot disk")
    record = example.build("tiny.ks", place, image_type="raw", release="4.2", greeting="good evening")
    return example.delivered(record, "image")


def log_in(machine: VirtualMachine) -> None:
    machine.expect(r"login: $")
    machine.say("root")
    machine.expect(r"Password: $")
    machine.say("tiny")
    machine.expect(r"# $")


def test_the_raw_image_starts_to_a_line_that_the_image_itself_prints(raw: Path) -> None:
    with VirtualMachine(raw) as machine:
        machine.expect(r"^tiny: 4\.2 ready$")


def test_the_machine_is_what_the_kickstart_says_and_turns_itself_off(raw: Path) -> None:
    with VirtualMachine(raw) as machine:
        machine.expect(r"^Tiny 4\.2, made by Imager as tiny$")
        log_in(machine)
        assert machine.ask("hello") == "good evening, this is tiny 4.2\n"
        assert machine.ask("hostname") == "tiny\n"
        assert machine.ask("id -un guest") == "guest\n"
        assert machine.ask("cat /etc/shells") == "/bin/sh\n"
        assert " on / type ext4 (rw" in machine.ask("mount")
        assert machine.ask("test -e /usr/share/tiny || echo no manual") == "no manual\n"
        machine.say("poweroff")
        assert machine.wait_for_end() == 0


def test_the_raw_image_starts_from_an_ide_disk_too(raw: Path) -> None:
    with VirtualMachine(raw, interface="ide") as machine:
        machine.expect(r"^tiny: 4\.2 ready$")


def test_the_uefi_example_starts_under_uefi_with_its_swap_and_its_efi_partition_in_use(tmp_path: Path) -> None:
    record = example.build("tiny-uefi.ks", tmp_path, image_type="raw", release="5.0")
    with VirtualMachine(example.delivered(record, "image"), firmware=FIRMWARE) as machine:
        machine.expect(r"^tiny: 5\.0 ready$")
        log_in(machine)
        machine.ask("test -d /sys/firmware/efi")
        assert "/dev/vda3" in machine.ask("cat /proc/swaps")
        assert "/dev/vda1 on /boot/efi type vfat" in machine.ask("mount")
