# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.creator.tree import Tree
from imgcore.errors import BuildError


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "root").mkdir()
    return Tree(tmp_path / "root")


def test_links_are_followed_inside_the_tree_and_never_out_of_it(tree: Tree, tmp_path: Path) -> None:
    tree.write("/usr/etc/file", "inside")
    tree.link("/etc", "/usr/etc")
    tree.link("/up", "../../../../usr")
    tree.link("/host", str(tmp_path))
    assert tree.read("/etc/file") == "inside"
    assert tree.read("/up/etc/file") == "inside"
    tree.write("/host/written", "x")
    assert not (tmp_path / "written").exists()
    assert tree.read(f"{tmp_path}/written") == "x"


def test_links_that_go_round_are_an_error(tree: Tree) -> None:
    tree.link("/a", "b")
    tree.link("/b", "a")
    with pytest.raises(BuildError):
        tree.has("/a")
    assert tree.has_link("/a")


def test_writing_keeps_the_mode_of_a_file_and_its_odd_bytes(tree: Tree) -> None:
    tree.write("/etc/a", "x", 0o600)
    tree.real("/etc/a").write_bytes(b"caf\xe9\n")
    tree.write("/etc/a", tree.read("/etc/a") + "more\n")
    assert tree.real("/etc/a").read_bytes() == b"caf\xe9\nmore\n"
    assert tree.real("/etc/a").stat().st_mode & 0o7777 == 0o600


def test_a_link_replaces_a_link_without_following_it(tree: Tree) -> None:
    tree.write("/target", "t")
    tree.link("/etc/l", "/target")
    tree.link("/etc/l", "/other")
    assert tree.read("/target") == "t"
    assert not tree.has("/etc/l")


def test_walking_names_directories_first_and_does_not_follow_links(tree: Tree) -> None:
    tree.write("/b/z", "")
    tree.write("/b/a", "")
    tree.link("/a", "/b")
    assert [Path(entry.path).relative_to(tree.top).as_posix() for entry in tree.walk()] == ["a", "b", "b/a", "b/z"]
