# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

from imgcore.creator.attachments import copy_attachments
from imgcore.creator.plan import Attachment
from tests.support.trees import a_build, link

FILES = {
    "/boot/a.img": "a",
    "/boot/b.img": "b",
    "/boot/.hidden.img": "h",
    "/opt/a.img": "other a",
    "/usr/share/doc/x": "doc",
    "/srv/dir/one": "1",
    "/srv/dir/sub/two": "2",
    "/abs": link("/usr/share/doc/x"),
}


def attached(top: Path, *names: str) -> tuple[list[str], dict[str, str], list[str]]:
    build, tree = a_build(top, FILES, attachments=tuple(Attachment(name, 30 + n) for n, name in enumerate(names)))
    files = {"docs": ("/usr/share/doc", "/usr/share/doc/x"), "empty": ()}
    made = copy_attachments(build, tree, files)
    return made, {path.name: path.read_text() for path in build.place.out.iterdir()}, build.warnings


def test_a_glob_attaches_the_files_that_it_matches(tmp_path: Path) -> None:
    made, found, warnings = attached(tmp_path, "/boot/*.img")
    assert made == ["a.img", "b.img"]
    assert found == {"a.img": "a", "b.img": "b"}
    assert warnings == []


def test_a_package_attaches_its_files_and_a_directory_those_in_it(tmp_path: Path) -> None:
    assert attached(tmp_path, "docs", "/srv/dir")[1] == {"x": "doc", "one": "1"}


def test_two_files_of_one_name_are_both_delivered(tmp_path: Path) -> None:
    assert attached(tmp_path, "/boot/a.img", "/opt/a.img")[1] == {"a.img": "a", "opt-a.img": "other a"}


def test_a_link_is_followed_inside_the_image(tmp_path: Path) -> None:
    assert attached(tmp_path, "/abs")[1] == {"abs": "doc"}


def test_an_attachment_that_is_not_there_is_a_warning_with_its_line(tmp_path: Path) -> None:
    _, found, warnings = attached(tmp_path, "/nothing/*", "nosuch", "empty")
    assert found == {}
    assert warnings == [
        "image.ks, line 30: no file of the image matches the attachment /nothing/*",
        "image.ks, line 31: the attachment nosuch is neither a path nor an installed package",
        "image.ks, line 32: package empty has no files to attach",
    ]
