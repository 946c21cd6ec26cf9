# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.creator.plan import Desktop
from imgcore.creator.system import desktop
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import ACCOUNTS, a_build


def configured(top: Path, files: dict[str, str], line: Desktop) -> Tree:
    build, tree = a_build(top, ACCOUNTS | files)
    desktop.configure(build, tree, line)
    return tree


def test_the_desktop_and_its_display_manager_are_named_in_sysconfig(tmp_path: Path) -> None:
    files = {"/etc/sysconfig/desktop": "KEEP=1\nDESKTOP=old\n", "/usr/lib/systemd/system/gdm.service":
             "[Install]\nAlias=display-manager.service\n"}  # fmt: skip
    tree = configured(tmp_path, files, Desktop("mobile", "GNOME", "gdm", line=3))
    assert tree.lines("/etc/sysconfig/desktop") == [
        *("KEEP=1", 'DESKTOP="GNOME"', 'DISPLAYMANAGER="gdm"', 'SESSION="mobile"')
    ]
    assert tree.has_link("/etc/systemd/system/display-manager.service")


@pytest.mark.parametrize(
    ("path", "before", "expected"),
    [
        ("/etc/gdm/custom.conf", "[daemon]\nX=1\n", ["X=1", "AutomaticLoginEnable=true", "AutomaticLogin=root"]),
        ("/etc/lightdm/lightdm.conf", "", ["[Seat:*]", "autologin-user=root", "autologin-session=s"]),
        ("/etc/sddm.conf", "", ["[Autologin]", "User=root", "Session=s"]),
        ("/etc/sysconfig/uxlaunch", "user=meego\nother=1\n", ["other=1", "user=root", "session=s"]),
    ],
)
def test_the_user_to_log_in_is_told_to_the_display_manager(
    tmp_path: Path, path: str, before: str, expected: list[str]
) -> None:
    tree = configured(tmp_path, {path: before}, Desktop(session="s", autologin_user="root", line=3))
    lines = tree.lines(path)
    assert [line for line in lines if line in expected] == expected
    assert "user=meego" not in lines


def test_a_graphical_start_is_set_for_systemd_or_inittab(tmp_path: Path) -> None:
    unit = "/usr/lib/systemd/system/graphical.target"
    tree = configured(tmp_path / "1", {unit: "[Unit]\n"}, Desktop(start_x=True, line=3))
    assert str(tree.real("/etc/systemd/system/default.target", follow=False).readlink()) == unit
    tree = configured(tmp_path / "2", {"/etc/inittab": "# x\nid:3:initdefault:\n"}, Desktop(start_x=True, line=3))
    assert tree.read("/etc/inittab") == "# x\nid:5:initdefault:\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (Desktop(autologin_user="root", line=3), "nothing in the image could log in root without asking"),
        (Desktop(autologin_user="nobody-here", line=3), "the user nobody-here to log in is not in the image"),
        (Desktop(start_x=True, line=3), "the image has no graphical target to start"),
    ],
)
def test_what_nothing_in_the_image_would_do_is_refused_with_its_line(
    tmp_path: Path, line: Desktop, words: str
) -> None:
    with pytest.raises(BuildError) as caught:
        configured(tmp_path, {}, line)
    assert caught.value.message == f"image.ks, line 3: {words}"
