# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what pip installs: source distribution and wheel, in a virtual environment that knows no checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from imgcore import __version__
from tests.support import checkout, page
from tests.support.records import a_spool, add

_CODE = ("imgcore/", "participants/", "RuoteAMQP/", "SkyNET/")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = checkout.copy(tmp_path_factory.mktemp("sdist") / "imager")
    build = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, "dist"], cwd=place, check=True, capture_output=True, text=True
    )
    return place / "dist" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    # From the source distribution alone: so that is complete.
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(sdist.parent), str(sdist)]
    subprocess.run(pip, check=True, capture_output=True)
    return next(sdist.parent.glob("*.whl"))


class Installed:
    """A virtual environment with the wheel; commands run elsewhere, with nothing of who runs the tests."""

    def __init__(self, place: Path, wheel: Path, *constraints: str) -> None:
        self.place, self.home = place / "venv", place / "home"
        self.home.mkdir()
        (place / "constraints").write_text("".join(f"{each}\n" for each in constraints))
        subprocess.run([sys.executable, "-m", "venv", self.place], check=True)
        pip = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--constraint", place / "constraints"]
        subprocess.run([self.place / "bin/python", *pip, wheel], check=True)

    def run(self, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.place / "bin" / command, *arguments],
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def metadata(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


def lowest(wheel: Path) -> list[str]:
    """`name==version` of the lower bound of everything that is always needed."""
    needed = [each for each in metadata(wheel) if "extra ==" not in each]
    return [re.sub(r"\s*\(?>=([0-9.]+)\)?.*", r"==\1", each) for each in needed]


@pytest.fixture(scope="module", params=["newest", "lowest"])
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    bounds = lowest(wheel) if request.param == "lowest" else []
    # pykickstart comes as source alone.
    made = wheel.parent / "kickstart"
    wanted = next((each for each in bounds if each.startswith("pykickstart")), "pykickstart")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", made / request.param, wanted]
    subprocess.run(pip, check=True)
    found = next((made / request.param).glob("*.whl"))
    return Installed(tmp_path_factory.mktemp("venv"), wheel, *bounds, f"pykickstart @ {found.as_uri()}")


def test_the_source_distribution_has_every_file(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert set(checkout.files()) - there <= {".gitignore"}


def test_the_wheel_has_every_file_of_the_code_and_the_configuration(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = {re.sub(r"^.*\.data/data/share/imager/", "conf/", name) for name in archive.namelist()}
    files = checkout.files()
    assert {each for each in files if each.startswith(_CODE)} <= there
    assert {each for each in files if each.startswith(("conf/skynet/", "conf/processes/"))} <= there
    assert "conf/imager.conf" in there


def test_the_extras_are_vm_and_dev(wheel: Path) -> None:
    extras = {match[1] for each in metadata(wheel) if (match := re.search(r"extra == ['\"](\w+)", each))}
    assert extras == {"vm", "dev"}


def test_the_dependencies_agree(installed: Installed) -> None:
    done = installed.run("python", "-m", "pip", "check")
    assert (done.returncode, done.stdout.strip()) == (0, "No broken requirements found.")


def test_img_says_its_version_and_its_commands(installed: Installed) -> None:
    assert installed.run("img", "--version").stdout == f"img, version {__version__}\n"
    told = installed.run("img", "--help")
    assert told.returncode == 0, told.stderr
    assert "Make an image from the kickstart KS." in told.stdout


def test_every_module_can_be_imported(installed: Installed) -> None:
    walk = (
        "import importlib, pkgutil, sys\n"
        "for top in ('imgcore', 'participants', 'RuoteAMQP', 'SkyNET'):\n"
        "    for each in pkgutil.walk_packages(importlib.import_module(top).__path__, top + '.'):\n"
        "        if not each.name.endswith('__main__') and 'creator' not in each.name:\n"
        "            importlib.import_module(each.name)\n"
        "print(len(sys.modules) > 100)\n"
    )
    done = installed.run("python", "-c", walk)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_img_report_writes_the_pages_of_a_spool(installed: Installed, tmp_path: Path) -> None:
    add(a_spool(tmp_path), "tiny-1")
    done = installed.run("img", "report", "--spool", tmp_path / "spool", "--outdir", tmp_path / "pages", "--json")
    assert done.returncode == 0, done.stderr
    assert "tiny-1" in Path(json.loads(done.stdout)["index"]).read_text()
    assert (tmp_path / "pages/imager.css").stat().st_size > 0


def test_a_kickstart_is_checked(installed: Installed) -> None:
    (installed.home / "x.ks").write_text("lang en_US.UTF-8\nlong en_US\n%packages\n%end\n")
    done = installed.run("img", "ks", "check", "x.ks")
    assert done.returncode == 1
    assert "long" in done.stdout + done.stderr


def test_the_page_s_commands_bring_a_user_to_img(wheel: Path, tmp_path: Path) -> None:
    (block,) = page.commands(checkout.ROOT / "docs/install.md", "With pip")
    (tmp_path / wheel.name).symlink_to(wheel)
    # As somebody who runs no tests; but how pip reaches the network is this machine's matter.
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    environment = {**kept, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    for line in block:
        assert line.startswith("$ ")
        done = subprocess.run(
            ["sh", "-c", line.removeprefix("$ ")], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        # The doctor ends with 1 where a machine lacks something.
        assert done.returncode == 0 or line.endswith("img doctor"), done.stderr
    assert "tool builtin: packages by dnf and rpm" in done.stdout


@pytest.mark.parametrize("name", ["build_image", "build_ks", "request_image", "update_image_status"])
def test_skynet_exo_finds_code_and_configuration_and_says_what_is_missing(installed: Installed, name: str) -> None:
    own = installed.place / f"share/imager/skynet/{name}.conf"
    assert installed.run("skynet_exo", "--help").stdout.startswith("usage: skynet_exo")
    done = installed.run("skynet_exo", "--config-dir", installed.home / "etc", own)
    assert done.returncode == 2
    assert done.stderr.startswith("skynet_exo: option amqp_host of section [boss] is missing")
