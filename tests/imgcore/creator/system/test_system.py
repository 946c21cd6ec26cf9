# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.creator import system
from imgcore.creator.build import Build
from imgcore.creator.plan import Item, Services, System
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import a_build, link


def configured(top: Path, files: dict[str, str], wanted: System) -> tuple[Build, Tree]:
    build, tree = a_build(top, files, wanted)
    system.configure(build, tree)
    return build, tree


def refused(top: Path, files: dict[str, str], wanted: System) -> str:
    with pytest.raises(BuildError) as caught:
        configured(top, files, wanted)
    assert caught.value.cause == "unsupported"
    return caught.value.message


def test_language_and_keyboard_are_set_and_other_settings_stay(tmp_path: Path) -> None:
    files = {
        "/etc/locale.conf": "LC_TIME=C\nLANG=C\n",
        "/etc/sysconfig/i18n": 'LANG="C"\n',
        "/etc/sysconfig/keyboard": "",
    }
    _, tree = configured(tmp_path, files, System(lang=Item("de_DE.UTF-8"), keyboard=Item("de")))
    assert tree.read("/etc/locale.conf") == "LC_TIME=C\nLANG=de_DE.UTF-8\n"
    assert tree.read("/etc/sysconfig/i18n") == 'LANG="de_DE.UTF-8"\n'
    assert tree.read("/etc/vconsole.conf") == "KEYMAP=de\n"
    assert tree.read("/etc/sysconfig/keyboard") == 'KEYTABLE="de"\n'


def test_the_time_zone_is_a_link_as_systemd_reads_it(tmp_path: Path) -> None:
    files = {
        "/usr/share/zoneinfo/Europe/Helsinki": "TZif",
        "/etc/localtime": link("old"),
        "/etc/sysconfig/clock": "A=1\n",
    }
    _, tree = configured(tmp_path, files, System(timezone=Item("Europe/Helsinki"), clock_utc=False))
    assert str(tree.real("/etc/localtime", follow=False).readlink()) == "../usr/share/zoneinfo/Europe/Helsinki"
    assert tree.real("/etc/localtime").read_text() == "TZif"
    assert tree.read("/etc/adjtime").endswith("LOCAL\n")
    assert tree.read("/etc/sysconfig/clock") == 'A=1\nZONE="Europe/Helsinki"\nUTC=false\n'


def test_utc_needs_no_time_zones_in_the_image(tmp_path: Path) -> None:
    _, tree = configured(tmp_path, {"/etc/localtime": link("old")}, System(timezone=Item("Etc/UTC", 4)))
    assert not tree.has_link("/etc/localtime")


def test_a_time_zone_that_the_image_lacks_is_refused_with_its_line(tmp_path: Path) -> None:
    wanted = System(timezone=Item("Europe/Nowhere", 4))
    assert refused(tmp_path / "1", {}, wanted).startswith("image.ks, line 4: the image does not know the time zone")
    files = {"/usr/share/zoneinfo/UTC": ""}
    assert (
        refused(tmp_path / "2", files, wanted) == "image.ks, line 4: the time zone Europe/Nowhere is not in the image"
    )
    assert refused(tmp_path / "3", files, System(timezone=Item("../../../etc/passwd", 4))).startswith(
        "image.ks, line 4"
    )


def test_selinux_is_set_and_labels_are_made_at_the_first_boot(tmp_path: Path) -> None:
    config = {"/etc/selinux/config": "SELINUX=disabled\nSELINUXTYPE=targeted\n"}
    _, tree = configured(tmp_path / "1", config, System(selinux=Item("enforcing", 5)))
    assert tree.read("/etc/selinux/config") == "SELINUX=enforcing\nSELINUXTYPE=targeted\n"
    assert tree.has("/.autorelabel")
    _, tree = configured(tmp_path / "2", config, System(selinux=Item("disabled", 5)))
    assert not tree.has("/.autorelabel")


def test_an_image_without_selinux_has_it_disabled_and_cannot_enforce_it(tmp_path: Path) -> None:
    configured(tmp_path / "1", {}, System(selinux=Item("disabled", 5)))
    text = refused(tmp_path / "2", {}, System(selinux=Item("enforcing", 5)))
    assert text == "image.ks, line 5: the image has no SELinux to be enforcing"


def test_the_first_boot_program_is_enabled_or_disabled(tmp_path: Path) -> None:
    unit = {"/usr/lib/systemd/system/initial-setup.service": "[Install]\nWantedBy=multi-user.target\n"}
    enabled = "/etc/systemd/system/multi-user.target.wants/initial-setup.service"
    _, tree = configured(tmp_path / "1", unit, System(first_boot=True))
    assert tree.has_link(enabled)
    _, tree = configured(tmp_path / "2", unit | {enabled: link("/x")}, System(first_boot=False))
    assert not tree.has_link(enabled)
    assert tree.read("/etc/sysconfig/firstboot") == "RUN_FIRSTBOOT=NO\n"
    assert "no first-boot program" in refused(tmp_path / "3", {}, System(first_boot=True))
    configured(tmp_path / "4", {}, System(first_boot=False))


def test_authentication_options_that_hold_anyway_need_no_program(tmp_path: Path) -> None:
    build, _ = configured(tmp_path, {}, System(authentication=Item("--useshadow --enablemd5", 6)))
    assert build.warnings == ["image.ks, line 6: passwords are protected by SHA-512, not by MD5, which is broken"]


@pytest.mark.parametrize(
    ("options", "program"), [("select sssd", "/usr/bin/authselect"), ("--enableldap", "/usr/sbin/authconfig")]
)
def test_authentication_options_without_their_program_are_refused(tmp_path: Path, options: str, program: str) -> None:
    text = refused(tmp_path, {}, System(authentication=Item(options, 6)))
    assert text == f"image.ks, line 6: the image has no {program} to carry out: {options}"


def test_what_the_services_line_says_of_a_service_holds_in_the_end(tmp_path: Path) -> None:
    unit = {"/usr/lib/systemd/system/initial-setup.service": "[Install]\nWantedBy=multi-user.target\n"}
    wanted = System(first_boot=True, services=Services(disabled=("initial-setup",)))
    _, tree = configured(tmp_path, unit, wanted)
    assert not tree.has_link("/etc/systemd/system/multi-user.target.wants/initial-setup.service")
