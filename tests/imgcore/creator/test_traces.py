# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcore.creator import traces
from tests.support.trees import EPOCH, a_build, link

RESOLVER = "/etc/resolv.conf"


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The builder's resolv.conf."""
    path = tmp_path / "builder.conf"
    path.write_text("nameserver 10.9.8.7\n")
    monkeypatch.setattr(traces, "_BUILDERS_RESOLVER", path)
    return path.read_text()


@pytest.mark.parametrize("before", [None, "nameserver 1.2.3.4\n", link("../run/systemd/resolve/stub-resolv.conf")])
def test_the_builders_resolver_is_lent_and_what_the_image_had_comes_back(
    tmp_path: Path, lent: str, before: str | None
) -> None:
    _, tree = a_build(tmp_path, {"/etc/x": "", **({RESOLVER: before} if before else {})})
    place = tree.real(RESOLVER, follow=False)
    if before and not place.is_symlink():
        os.utime(place, (5, 5))
    with traces.lend_resolver(tree):
        assert place.read_text() == lent and not place.is_symlink()
    if before is None:
        assert not place.exists()
    elif place.is_symlink():
        assert link(str(place.readlink())) == before
    else:
        assert (place.read_text(), place.stat().st_mtime) == (before, 5)
    assert not tree.has("/run")


def test_a_resolver_that_a_script_writes_stays(tmp_path: Path, lent: str) -> None:
    _, tree = a_build(tmp_path, {"/etc/x": ""})
    with traces.lend_resolver(tree):
        tree.real(RESOLVER).unlink()
        tree.write(RESOLVER, "nameserver 9.9.9.9\n")
    assert tree.read(RESOLVER) == "nameserver 9.9.9.9\n"


def test_the_resolver_comes_back_after_a_failure_too(tmp_path: Path, lent: str) -> None:
    _, tree = a_build(tmp_path, {"/etc/x": ""})
    with pytest.raises(ZeroDivisionError), traces.lend_resolver(tree):
        _ = 1 / 0
    assert not tree.has(RESOLVER)


def test_the_machine_identifier_is_emptied_not_removed(tmp_path: Path) -> None:
    files = {"/etc/machine-id": "0123\n", "/var/lib/dbus/machine-id": "0123\n", "/etc/hostname": "x\n"}
    _, tree = a_build(tmp_path, files)
    traces.forget_identity(tree)
    assert tree.has("/etc/machine-id") and tree.read("/etc/machine-id") == ""
    assert not tree.has("/var/lib/dbus/machine-id")
    assert tree.read("/etc/hostname") == "x\n"


def test_what_tools_left_goes_and_what_packages_brought_stays(tmp_path: Path) -> None:
    files = {
        "/var/lib/dnf/history.sqlite": "x",
        "/var/cache/dnf/a/b": "x",
        "/var/log/dnf.log": "x",
        "/var/log/hawkey.log": "x",
        "/root/.rpmdb/Packages": "x",
        "/var/cache/ldconfig/aux-cache": "x",
        "/tmp/left": "x",
        "/var/tmp/a/left": "x",
        "/run/lock/left": "x",
        "/var/log/yum.log": "of a package",
        "/var/tmp/of/package": "of a package",
        "/root/.profile": "kept",
        "/var/log/other.log": "kept",
    }
    build, tree = a_build(tmp_path, files)
    traces.strip(build, tree, frozenset({"/var/log/yum.log", "/var/tmp/of", "/var/tmp/of/package"}))
    left = sorted(str(path.relative_to(tree.top)) for path in tree.top.rglob("*") if path.is_file())
    assert left == ["root/.profile", "var/log/other.log", "var/log/yum.log", "var/tmp/of/package"]
    assert tree.has("/tmp") and tree.has("/run")


def test_links_in_the_tree_do_not_lead_the_clean_up_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "dnf.log").write_text("mine")
    build, tree = a_build(tmp_path / "1", {"/var/log": link(str(outside)), "/var/tmp": link(str(outside))})
    traces.strip(build, tree, frozenset())
    assert (outside / "dnf.log").read_text() == "mine"


def test_no_time_is_later_than_the_plans_and_earlier_ones_stay(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, {"/a/new": "x", "/a/old": "x", "/a/link": link("nowhere")})
    os.utime(tree.real("/a/old"), (1000, 1000))
    os.utime(tree.real("/a/new"), (EPOCH + 9, EPOCH + 9))
    traces.strip(build, tree, frozenset())
    times = {path.name: path.lstat().st_mtime for path in [tree.top, *tree.top.rglob("*")]}
    assert times == {"root": EPOCH, "a": EPOCH, "new": EPOCH, "old": 1000, "link": EPOCH}


def test_days_of_password_changes_are_not_later_than_the_plans_time(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, {"/etc/shadow": "a:!:99999:0:::::\nb:!:18000:0:::::\nc:!:::::::\n"})
    traces.strip(build, tree, frozenset())
    assert tree.lines("/etc/shadow") == [f"a:!:{EPOCH // 86400}:0:::::", "b:!:18000:0:::::", "c:!:::::::"]
