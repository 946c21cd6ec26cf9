"""Proves rpm/imager.spec as far as a Debian machine can: built, examined by rpmlint, installed into one root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from imgcore import __version__
from tests.support import checkout

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

DEBS = checkout.ROOT / "build/packages"
SITE = "/usr/lib/python{}.{}/site-packages/".format(*sys.version_info)
DEBIAN = "/usr/lib/python3/dist-packages/"


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
