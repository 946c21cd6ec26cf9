# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves rpm/imager.spec as far as a Debian machine can: built, examined by rpmlint, installed, and used.

No mirror of Fedora or openSUSE is asked. So what our packages want of those is named here, and dnf asks for nothing
else; and the packages run in a clean Debian root, where Debian's stand for those: their scripts make user and
directories, and the commands start from what was installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore import __version__
from tests.packages.with_apt import base
from tests.support import checkout, example
from tests.support.clean_root import Base, Root

__all__ = ["base"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

DEBS = checkout.ROOT / "build/packages"
SITE = "/usr/lib/python{}.{}/site-packages/".format(*sys.version_info)
DEBIAN = "/usr/lib/python3/dist-packages/"
#: What the packages want of Fedora, by the names there: package, and the Debian packages that stand for it here.
FEDORA = {
    "busybox": (),
    "e2fsprogs": ("e2fsprogs",),
    "kmod": (),
    "libvirt-daemon": (),
    "python3-click": ("python3-click",),
    "python3-dnf": ("python3-dnf",),
    "python3-jinja2": ("python3-jinja2",),
    "python3-kickstart": ("python3-pykickstart",),
    "python3-libvirt": (),
    "python3-pika": ("python3-pika",),
    "python3-psutil": ("python3-psutil",),
    "python3-pyyaml": ("python3-yaml",),
    "python3-rich": ("python3-rich",),
    "python3-rpm": ("python3-rpm",),
    "qemu-img": (),
    "qemu-system-x86-core": (),
    "shadow-utils": ("uidmap",),
    "systemd": ("systemd",),
    "util-linux": ("fdisk",),
}
#: Where openSUSE calls them differently.
SUSE = {
    "busybox": "busybox-static",
    "python3-jinja2": "python3-Jinja2",
    "python3-kickstart": "python3-pykickstart",
    "python3-libvirt": "python3-libvirt-python",
    "python3-pyyaml": "python3-PyYAML",
    "qemu-system-x86-core": "qemu-x86",
    "shadow-utils": "shadow",
}


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages by their names."""
    place = tmp_path_factory.mktemp("rpm")
    source = checkout.copy(place / f"imager-{__version__}")
    (place / "SOURCES").mkdir()
    archive = place / f"SOURCES/imager-{__version__}.tar.gz"
    subprocess.run(["tar", "-C", place, "-czf", archive, source.name], check=True)
    # What Debian 12 lacks is what we built for it.
    kickstart = place / "kickstart"
    subprocess.run(["dpkg-deb", "-x", next(DEBS.glob("python3-pykickstart_*.deb")), kickstart], check=True)
    command = ["rpmbuild", "-ba", "--nodeps", "--define", f"_topdir {place}", source / "rpm/imager.spec"]
    environment = {**os.environ, "PYTHONPATH": f"{kickstart}{DEBIAN}", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {path.name.rpartition(f"-{__version__}-")[0]: path for path in place.glob("RPMS/noarch/*.rpm")}


def files(package: Path) -> set[str]:
    said = subprocess.run(
        ["rpm", "-qpl", "--nosignature", package], capture_output=True, text=True, check=True
    ).stdout
    return set(said.splitlines())


def code(package: Path) -> set[str]:
    """The Python modules of a .deb, as paths below its directory of Python packages."""
    said = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    paths = [line.split()[5].removeprefix(".") for line in said.splitlines()]
    return {path.removeprefix(DEBIAN) for path in paths if path.startswith(DEBIAN) and path.endswith(".py")}


def test_each_package_has_the_modules_of_debians(rpms: dict[str, Path]) -> None:
    debs = {path.name.partition("_")[0]: path for path in DEBS.glob("*.deb") if "kickstart" not in path.name}
    assert set(rpms) == set(debs)
    for name, path in rpms.items():
        modules = {each.removeprefix(SITE) for each in files(path) if each.startswith(SITE) and each.endswith(".py")}
        assert modules == code(debs[name]), name


def test_no_file_is_in_two_packages(rpms: dict[str, Path], tmp_path: Path) -> None:
    counted = Counter(each for path in rpms.values() for each in files(path))
    twice = {each for each, count in counted.items() if count > 1 and "/licenses/" not in each}
    # Directories alone.
    assert twice == {f"{SITE}imgcore/creator", f"{SITE}imgcore/executor/vm"}


def test_rpmlint_finds_no_error(rpms: dict[str, Path]) -> None:
    config = checkout.ROOT / "rpm/rpmlint.toml"
    command = ["rpmlint", "-c", config, *rpms.values(), checkout.ROOT / "rpm/imager.spec"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, " 0 errors, 0 warnings" in done.stdout) == (0, True), done.stdout


def test_all_of_them_install_into_one_root_as_they_were_built(rpms: dict[str, Path], tmp_path: Path) -> None:
    rpm = ["rpm", f"--root={tmp_path}", "--nodeps", "--nosignature"]
    subprocess.run([*rpm, "-i", "--noscripts", *rpms.values()], check=True)
    done = subprocess.run([*rpm, "-V", "--nouser", "--nogroup", *rpms], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    door = (tmp_path / "usr/lib/imager/imager-sandbox").read_text()
    assert SITE.rstrip("/") in door


# ---- what they want of others


def wanted(packages: dict[str, Path]) -> set[str]:
    """Names that the packages require and none of them provides, without what rpm itself and every system has."""
    query = ["rpm", "-qp", "--nosignature"]
    told = {
        kind: subprocess.run([*query, f"--{kind}", *packages.values()], capture_output=True, text=True, check=True)
        for kind in ("requires", "provides")
    }
    names = {kind: {line.split()[0] for line in each.stdout.splitlines() if line} for kind, each in told.items()}
    base = re.compile(r"rpmlib\(|/bin/sh$|/usr/bin/python3$|/usr/bin/(env|bash)$|python\(abi\)$|config\(")
    return {each for each in names["requires"] - names["provides"] if not base.match(each)}


def test_what_they_require_of_fedora_is_what_is_named_here(rpms: dict[str, Path]) -> None:
    names = wanted(rpms)
    # rpm adds what the code's own metadata say, which Fedora's packages provide under these names, too.
    python = {each for each in names if re.match(r"python3\.\d+dist\(", each)}
    project = tomllib.loads((checkout.ROOT / "pyproject.toml").read_text())["project"]
    said = {re.match(r"[A-Za-z0-9]+", each)[0].lower() for each in project["dependencies"]}  # type: ignore[index]
    assert {each.partition("(")[2].rstrip(")") for each in python} == said
    assert names - python == set(FEDORA)


def test_what_they_require_of_opensuse_is_called_as_it_is_there(rpms: dict[str, Path]) -> None:
    spec = checkout.ROOT / "rpm/imager.spec"
    query = ["rpmspec", "-q", "--define", "suse_version 1600", "--requires", spec]
    said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in said.splitlines() if line}
    ours = {*rpms, "/bin/sh"}
    assert {each for each in names - ours if not each.startswith("config(")} == {
        SUSE.get(each, each) for each in FEDORA
    }


def test_dnf_finds_all_of_ours_and_names_what_a_repository_of_fedora_would_have_to_add(
    rpms: dict[str, Path], tmp_path: Path
) -> None:
    repository = next(iter(rpms.values())).parent
    subprocess.run(["createrepo_c", "--quiet", repository], check=True)
    dnf = ["dnf", "-q", "-y", f"--installroot={tmp_path}", "--releasever=1", "--nogpgcheck"]
    dnf += [f"--repofrompath=ours,file://{repository}", "--repo=ours", f"--setopt=reposdir={tmp_path}"]
    # Of its own it installs what needs nothing else.
    subprocess.run([*dnf, "install", "imager-doc"], check=True, capture_output=True)
    assert (tmp_path / "usr/share/doc").is_dir()
    done = subprocess.run([*dnf, "install", "imager"], capture_output=True, text=True, check=False)
    lacking = set(re.findall(r"nothing provides (\S+)", done.stdout + done.stderr))
    assert done.returncode != 0
    of_python = {each for each in lacking if each.startswith(("python(abi)", "python3.", "/usr/bin/python3"))}
    assert lacking - of_python and lacking - of_python <= set(FEDORA), done.stderr


# ---- used


@pytest.fixture(scope="module")
def system(base: Base, rpms: dict[str, Path]) -> Iterator[Root]:
    """A root with our RPM packages, whose scripts have run; Debian's packages are below it."""
    with base.root("rpm") as root:
        root.install("rpm", "logrotate", "man-db", *(name for names in FEDORA.values() for name in names))
        root.copy(next(iter(rpms.values())).parent, "/opt/rpms")
        root.run("sh", "-c", "rpm -i --nodeps --nosignature /opt/rpms/*.rpm")
        # Debian's Python has another directory for packages than the one of the build.
        root.write("/usr/lib/python3/dist-packages/rpm-site.pth", f"{SITE}\n")
        yield root


def test_their_scripts_make_user_directories_and_a_range_of_ids(system: Root) -> None:
    places = ("/var/lib/imager/spool", "/var/lib/skynet", "/var/lib/imager/images")
    said = system.run("stat", "-c", "%A %U:%G", *places).stdout.splitlines()
    assert said == ["drwxr-x--- imager:imager", "drwxr-x--- imager:imager", "drwxr-xr-x imager:imager"]
    assert system.run("stat", "-c", "%A %U:%G", "/var/log/imager").stdout == "drwxr-x--- root:root\n"
    assert system.run("grep", "-c", "^imager:", "/etc/subuid").stdout == "1\n"
    assert system.run("stat", "-c", "%a %U", "/etc/sudoers.d/imager").stdout == "440 root\n"


def test_their_commands_start_from_what_was_installed(system: Root) -> None:
    assert system.run("img", "--version", user="imager").stdout == f"img, version {__version__}\n"
    assert system.run("skynet_exo", "--help", user="imager").stdout.startswith("usage: skynet_exo")
    where = "import imgcore as i, RuoteAMQP as r, SkyNET as s; print(i.__file__, r.__file__, s.__file__)"
    files = system.run("/usr/bin/python3", "-c", where, user="imager").stdout.split()
    assert all(each.startswith(SITE) for each in files), files
    done = system.run("skynet_exo", "/etc/skynet/build_ks.conf", user="imager", check=False)
    assert (done.returncode, "/etc/skynet/password cannot be read" in done.stderr) == (2, True), done.stderr
    assert system.run("img", "config", "check", user="imager").stdout.count("ERROR") == 0
    system.run("logrotate", "--debug", "/etc/logrotate.d/imager-core")


def test_they_build_the_example(system: Root) -> None:
    system.copy(Path(example.repository()), "/opt/tiny")
    system.copy(example.EXAMPLE / "tiny.ks", "/opt/tiny.ks")
    tokens = "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi"
    build = ("img", "build", "/opt/tiny.ks", "--type", "fs", "--arch", "x86_64", "--tokenmap", tokens, "--json")
    assert json.loads(system.run(*build, user="imager").stdout)["status"] == "DONE"
