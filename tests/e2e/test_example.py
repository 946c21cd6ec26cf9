# SPDX-License-Identifier: GPL-2.0-or-later
"""The example's packages are made on the spot: small, real, the same each time, or with a remedy."""

from __future__ import annotations

import hashlib
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import example
from tests.support.commands import environment

pytestmark = pytest.mark.real

MAKE = example.EXAMPLE / "make-repository"
DOWNLOADS = example.CHECKOUT / "build" / "tiny" / "downloads"


@pytest.fixture(scope="module")
def repository() -> Path:
    example.repository()
    return example.CHECKOUT / "build" / "tiny" / "repository"


def with_downloads(place: Path) -> Path:
    """A directory for make-repository that has the downloads already, and so needs no network."""
    example.repository()
    (place / "downloads").mkdir(parents=True)
    for package in DOWNLOADS.glob("*.deb"):
        (place / "downloads" / package.name).symlink_to(package)
    return place


def make(place: Path, using: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAKE, place], capture_output=True, text=True, env=using, check=False)


def digests(repository: Path) -> dict[str, str]:
    return {
        str(path.relative_to(repository)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(repository.rglob("*"))
        if path.is_file()
    }


def query(repository: Path, package: str, *arguments: str) -> list[str]:
    (path,) = repository.glob(f"{package}-[0-9]*.rpm")
    return subprocess.run(
        ["rpm", "-qp", *arguments, path], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_same_sources_give_the_same_bytes_in_a_directory_with_a_space_as_well(
    tmp_path: Path, repository: Path
) -> None:
    place = with_downloads(tmp_path / "my, 100% other")
    made = make(place)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == f"repository: {tmp_path}/my%2C%20100%25%20other/repository"
    assert digests(place / "repository") == digests(repository)


def test_an_up_to_date_repository_is_left_alone_and_asks_no_network(tmp_path: Path, repository: Path) -> None:
    before = {path: path.stat().st_ino for path in repository.rglob("*")}
    refuse = "#!/bin/sh\necho called >&2\nexit 9\n"
    refusing = environment(tmp_path / "bin", instead={"apt-get": refuse, "apt-cache": refuse, "rpmbuild": refuse})
    again = make(repository.parent, refusing)
    assert (again.returncode, again.stderr) == (0, "")
    assert {path: path.stat().st_ino for path in repository.rglob("*")} == before


def test_without_network_the_first_run_ends_with_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    failing = "#!/bin/sh\necho 'E: Failed to fetch http://deb.debian.org/x.deb  Could not connect'\nexit 100\n"
    made = make(tmp_path / "new", environment(tmp_path / "bin", instead={"apt-get": failing}))
    assert made.returncode == 2
    (line,) = made.stderr.splitlines()
    assert "Failed to fetch http://deb.debian.org/x.deb" in line
    assert "check the network" in line and str(tmp_path / "new" / "downloads") in line
    assert [path.name for path in (tmp_path / "new" / "downloads").iterdir()] == []


def test_empty_package_lists_end_with_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    empty = "#!/bin/sh\necho 'E: No packages found' >&2\nexit 100\n"
    made = make(tmp_path / "new", environment(tmp_path / "bin", instead={"apt-cache": empty}))
    assert made.returncode == 2
    (line,) = made.stderr.splitlines()
    assert "apt does not know linux-image-cloud-amd64" in line and "sudo apt-get update" in line


def test_a_missing_command_is_named_with_its_debian_package(tmp_path: Path) -> None:
    made = make(tmp_path / "new", environment(tmp_path / "bin", without=["createrepo_c"]))
    assert made.returncode == 2
    assert made.stderr == (
        "make-repository: createrepo_c is not there (sudo apt-get install createrepo-c, or make setup)\n"
    )


def test_a_damaged_download_is_named_and_the_old_repository_stays(tmp_path: Path) -> None:
    place = with_downloads(tmp_path / "place")
    assert make(place).returncode == 0
    before = digests(place / "repository")
    (busybox,) = (place / "downloads").glob("busybox-static_*.deb")
    busybox.unlink()
    busybox.write_bytes(b"half of a package")
    made = make(place)
    assert made.returncode == 2
    assert f"{busybox} cannot be unpacked" in made.stderr and "delete it" in made.stderr
    assert digests(place / "repository") == before


def test_the_packages_need_each_other_and_one_has_a_scriptlet(repository: Path) -> None:
    assert {"tiny-filesystem", "tiny-init"} <= set(query(repository, "tiny-kernel", "--requires"))
    assert "tiny-busybox" in query(repository, "tiny-init", "--requires")
    assert "tiny-filesystem" in query(repository, "tiny-busybox", "--requires")
    assert "postinstall scriptlet (using /bin/sh):" in query(repository, "tiny-busybox", "--scripts")
    assert "/bin/sh" in query(repository, "tiny-busybox", "--list")


def test_the_kernel_package_has_every_module_that_its_list_of_dependencies_names(
    repository: Path, tmp_path: Path
) -> None:
    (path,) = repository.glob("tiny-kernel-*.rpm")
    content = subprocess.run(["rpm2cpio", path], capture_output=True, check=True).stdout
    subprocess.run(["cpio", "-id", "--quiet"], input=content, cwd=tmp_path, check=True)
    (dependencies,) = tmp_path.glob("lib/modules/*/modules.dep")
    named = {word.rstrip(":") for line in dependencies.read_text().splitlines() for word in line.split()}
    there = {str(module.relative_to(dependencies.parent)) for module in dependencies.parent.rglob("*.ko")}
    assert named == there
    wanted = {
        line.split()[0]
        for line in (example.EXAMPLE / "packages" / "kernel" / "modules").read_text().splitlines()
        if not line.startswith("#")
    }
    assert wanted <= {Path(module).stem for module in there}


def test_the_groups_have_mandatory_default_and_optional_members_that_exist(repository: Path) -> None:
    comps = ElementTree.parse(repository / "repodata" / "comps.xml")
    members = {
        (group.findtext("id"), member.get("type"), member.text)
        for group in comps.iter("group")
        for member in group.iter("packagereq")
    }
    assert {(group, kind) for group, kind, _ in members} == {
        ("core", "mandatory"), ("tiny", "mandatory"), ("tiny", "default"), ("tiny", "optional"),
    }  # fmt: skip
    for _, _, name in members:
        assert query(repository, str(name), "--queryformat", "%{name}\n") == [name]


def test_the_whole_repository_is_small(repository: Path) -> None:
    assert sum(path.stat().st_size for path in repository.rglob("*.rpm")) < 20_000_000
