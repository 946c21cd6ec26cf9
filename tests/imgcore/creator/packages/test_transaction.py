# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.plan import Repository, Script
from tests.imgcore.creator.packages.test_packages import failure, plan
from tests.support.creator import create
from tests.support.rpms import Entry, Rpm, make_repository

pytestmark = pytest.mark.real


def test_a_failing_pre_scriptlet_fails_the_build_with_its_package_and_last_words(
    tmp_path: Path, repository: Path
) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "bad-pre")))
    assert cause == "scriptlet-failed"
    assert text.startswith("the %pre scriptlet of package bad-pre-1.0-1.noarch failed: exit status 3: refusing")


def test_a_failing_post_scriptlet_is_a_warning_in_the_result(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "bad-post"))
    assert run.status == 0, run.log
    assert run.warnings == ["the %post scriptlet of package bad-post-1.0-1.noarch failed: exit status 4"]
    assert (run.tree / "usr/share/bad-post").exists()


def test_two_packages_with_a_different_file_of_one_name_are_a_conflict(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "app", "same-file")))
    assert cause == "dependency-conflict"
    assert "/usr/share/app" in text


def test_scriptlets_for_another_machine_are_told_as_such(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "foreign-script", arch="aarch64")))
    assert cause == "unsupported"
    assert text.startswith("the scriptlets of package foreign-script-1.0-1.aarch64 are programs for aarch64")


def test_files_of_owners_that_the_namespace_lacks_are_told_with_what_to_install(
    tmp_path: Path, repository: Path
) -> None:
    cause, text = failure(create(tmp_path / "1", plan(repository, "owned"), single_user=True))
    assert cause == "sandbox"
    assert text.startswith("package owned-1.0-1.noarch has files of an owner that this build may not set")
    assert "/etc/subuid" in text
    run = create(tmp_path / "2", plan(repository, "app"), single_user=True)
    assert run.status == 0, run.log


def test_an_owner_is_looked_up_in_the_image(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "owned"))
    assert run.status == 0, run.log
    script = Script("post", "ls -ln /var/lib/owned", line=9)
    shown = create(tmp_path / "2", replace(plan(repository, "owned", "shell"), scripts=(script,)))
    assert " 2 " in next(line for line in shown.lines if "/var/lib/owned" in line)


@pytest.mark.parametrize("size", ["2m", "3m"])
def test_a_full_disk_is_told(tmp_path: Path, repository: Path, size: str) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "big"), disk=size))
    assert cause == "disk-full"
    assert text.startswith("there is no space left")


def test_a_damaged_package_of_a_local_repository_is_told(tmp_path: Path, repository: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    package = copy / "lib-1.0-1.noarch.rpm"
    content = bytearray(package.read_bytes())
    content[-20] ^= 0xFF
    package.write_bytes(content)
    cause, text = failure(create(tmp_path / "1", plan(copy, "lib")))
    assert cause == "repository-invalid"
    assert "lib-1.0-1.noarch" in text and "damaged" in text
    package.write_bytes(b"no package")
    cause, text = failure(create(tmp_path / "2", plan(copy, "lib")))
    assert cause == "repository-invalid"
    assert "is not a usable package" in text


def test_a_daemon_that_a_scriptlet_starts_ends_and_does_not_hold_the_build(tmp_path: Path, repository: Path) -> None:
    daemon = make_repository(tmp_path / "r", [Rpm("daemon", requires=["shell"], scripts={"post": "sleep 100 &"})])
    wanted = plan(repository, "daemon")
    both = (*wanted.repositories, Repository("daemon", daemon.as_uri()))
    run = create(tmp_path / "1", replace(wanted, repositories=both, scripts=(Script("post", "ps", line=9),)))
    assert run.status == 0, run.log
    assert "Ended what scriptlets left running: sleep" in run.lines
    assert not [line for line in run.lines if "sleep 100" in line]


def test_device_nodes_in_dev_are_left_to_the_kernel_of_the_image(tmp_path: Path) -> None:
    nodes = Rpm("nodes", files={"/dev": Entry(), "/dev/console": Entry("", marks="%dev(c, 5, 1)"), "/etc/x": "x\n"})
    inside = make_repository(tmp_path / "inside", [nodes])
    assert create(tmp_path / "1", plan(inside, "nodes"), single_user=True).status == 0
    other = make_repository(tmp_path / "other", [Rpm("node", files={"/srv/n": Entry("", marks="%dev(c, 5, 1)")})])
    cause, text = failure(create(tmp_path / "2", plan(other, "node"), single_user=True))
    assert cause == "sandbox"
    assert text.startswith("package node-1.0-1.noarch has a device node (/srv/n), which this build may not make")
