# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.creator.build import Build
from imgcore.creator.plan import Services
from imgcore.creator.system import services
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import a_build, link

UNITS = "/usr/lib/systemd/system"
WANTED = "/etc/systemd/system"
SSHD = "[Unit]\nWants=a.service\n[Install]\n# WantedBy=no.target\nWantedBy=multi-user.target \\\n  other.target\n"


def configured(
    top: Path, files: dict[str, str], enabled: tuple[str, ...] = (), disabled: tuple[str, ...] = ()
) -> tuple[Build, Tree]:
    build, tree = a_build(top, files)
    services.configure(build, tree, Services(enabled, disabled, line=6))
    return build, tree


def links(tree: Tree, top: str) -> dict[str, str]:
    base = tree.real(top)
    return {
        str(path.relative_to(base)): str(path.readlink()) for path in sorted(base.rglob("*")) if path.is_symlink()
    }


def test_a_unit_is_enabled_by_the_links_that_its_install_section_asks_for(tmp_path: Path) -> None:
    files = {
        f"{UNITS}/sshd.service": SSHD + "Alias=ssh.service\nAlso=sshd.socket\n",
        f"{UNITS}/sshd.socket": "[Install]\nRequiredBy=sockets.target\n",
    }
    _, tree = configured(tmp_path, files, enabled=("sshd",))
    assert links(tree, WANTED) == {
        "multi-user.target.wants/sshd.service": f"{UNITS}/sshd.service",
        "other.target.wants/sshd.service": f"{UNITS}/sshd.service",
        "sockets.target.requires/sshd.socket": f"{UNITS}/sshd.socket",
        "ssh.service": f"{UNITS}/sshd.service",
    }


def test_an_instance_of_a_template_is_enabled_and_specifiers_are_replaced(tmp_path: Path) -> None:
    getty = "[Install]\nWantedBy=getty.target serial-%i.target\nDefaultInstance=tty1\n"
    _, tree = configured(tmp_path, {f"{UNITS}/getty@.service": getty}, enabled=("getty@ttyS0", "getty@"))
    assert links(tree, WANTED) == {
        "getty.target.wants/getty@tty1.service": f"{UNITS}/getty@.service",
        "getty.target.wants/getty@ttyS0.service": f"{UNITS}/getty@.service",
        "serial-tty1.target.wants/getty@tty1.service": f"{UNITS}/getty@.service",
        "serial-ttyS0.target.wants/getty@ttyS0.service": f"{UNITS}/getty@.service",
    }


def test_a_unit_is_disabled_by_removing_every_link_to_it(tmp_path: Path) -> None:
    files = {
        f"{UNITS}/sshd.service": SSHD + "Alias=ssh.service\n",
        f"{WANTED}/multi-user.target.wants/sshd.service": link(f"{UNITS}/sshd.service"),
        f"{WANTED}/multi-user.target.wants/other.service": link(f"{UNITS}/other.service"),
        f"{WANTED}/other.target.wants/sshd.service": link(f"{UNITS}/sshd.service"),
        f"{WANTED}/ssh.service": link(f"{UNITS}/sshd.service"),
    }
    build, tree = configured(tmp_path, files, disabled=("sshd",))
    assert links(tree, WANTED) == {"multi-user.target.wants/other.service": f"{UNITS}/other.service"}
    assert build.warnings == []


def test_a_unit_that_its_package_enables_for_ever_is_a_warning(tmp_path: Path) -> None:
    files = {f"{UNITS}/a.service": "[Service]\n", f"{UNITS}/default.target.wants/a.service": link("../a.service")}
    build, _ = configured(tmp_path, files, disabled=("a",))
    assert build.warnings == [
        "image.ks, line 6: a.service stays enabled: its package has it started by default.target"
    ]


def test_a_unit_without_an_install_section_is_a_warning(tmp_path: Path) -> None:
    build, _ = configured(tmp_path, {f"{UNITS}/a.service": "[Service]\nExecStart=/a\n"}, enabled=("a",))
    assert build.warnings == [
        "image.ks, line 6: a.service has no [Install] section: it is started by other units, or never"
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the service nosuch is not in the image"),
        (
            {f"{WANTED}/nosuch.service": link("/dev/null"), f"{UNITS}/nosuch.service": SSHD},
            "the service nosuch is masked",
        ),
    ],
)
def test_a_service_that_cannot_be_enabled_is_refused_with_its_line(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(BuildError) as caught:
        configured(tmp_path, files, enabled=("nosuch",))
    assert caught.value.message == f"image.ks, line 6: {words}"
    assert caught.value.cause == "unsupported"


def test_a_template_without_an_instance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="template without an instance"):
        configured(tmp_path, {f"{UNITS}/a@.service": "[Install]\nWantedBy=x.target\n"}, enabled=("a@",))


def test_disabling_what_is_not_there_is_a_warning(tmp_path: Path) -> None:
    build, _ = configured(tmp_path, {}, disabled=("nosuch",))
    assert build.warnings == ["image.ks, line 6: the service nosuch is not in the image: nothing to disable"]


def test_an_init_script_is_linked_in_the_levels_of_its_header(tmp_path: Path) -> None:
    script = "#!/bin/sh\n# chkconfig: 35 55 25\n"
    files = {"/etc/rc.d/init.d/sshd": script, "/etc/rc.d/rc3.d/K25sshd": link("../init.d/sshd")}
    _, tree = configured(tmp_path, files, enabled=("sshd",))
    found = links(tree, "/etc/rc.d")
    assert [name for name in found if "/S" in name] == ["rc3.d/S55sshd", "rc5.d/S55sshd"]
    assert [name for name in found if "/K" in name] == [f"rc{level}.d/K25sshd" for level in "01246"]
    assert set(found.values()) == {"../init.d/sshd"}
    _, tree = configured(tmp_path / "2", files, disabled=("sshd",))
    assert sorted(links(tree, "/etc/rc.d")) == [f"rc{level}.d/K25sshd" for level in "0123456"]


def test_an_init_script_with_an_lsb_header_is_linked(tmp_path: Path) -> None:
    files = {"/etc/init.d/x": "#!/bin/sh\n# Default-Start: 2 3\n", "/etc/rc3.d/README": ""}
    _, tree = configured(tmp_path, files, enabled=("x",))
    found = links(tree, "/etc")
    assert [name for name in found if "/S" in name] == ["rc2.d/S50x", "rc3.d/S50x"]
    assert set(found.values()) == {"../init.d/x"}
