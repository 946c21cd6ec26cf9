# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what docs/install.md says of the packages: they are made, and are a repository that apt installs from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packages import with_apt
from tests.packages.with_apt import base
from tests.support import checkout, page
from tests.support.clean_root import Base

__all__ = ["base"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]


def test_the_packages_are_a_repository_as_the_page_tells(base: Base, tmp_path: Path) -> None:
    document = page.Document("docs/install.md", "The packages")
    make, index, add = (command.text for command in document.take("make packages").commands)
    # They are there; what makes them is tried once more only as far as make knows it.
    subprocess.run(["make", "--dry-run", *make.split()[1:]], cwd=checkout.ROOT, check=True, capture_output=True)
    place = tmp_path / "build/packages"
    place.mkdir(parents=True)
    for each in with_apt.DEBS.glob("*.deb"):
        shutil.copy(each, place)
    subprocess.run(["bash", "-c", index], cwd=tmp_path, check=True, capture_output=True)
    with base.root("repository") as root:
        root.copy(place, "/opt/packages")
        root.run("rm", "/etc/apt/sources.list.d/ours.list")
        root.run("sh", "-c", f"cd /opt/packages && {add}")
        assert "file:/opt/packages" in root.run("apt-cache", "policy", "imager-core").stdout
        root.install("imager-core")
    document.end()
