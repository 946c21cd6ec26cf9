# SPDX-License-Identifier: GPL-2.0-or-later
"""What the README tells a person to type works as it stands there."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support import example, page

pytestmark = pytest.mark.real

COMMANDS = [command.text for block in page.Document("README.md").rest() for command in block.commands]
MAKE = [each for each in COMMANDS if each.startswith("make ")]
IMG = [each for each in COMMANDS if each not in MAKE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with a kickstart device.ks in it."""
    place = tmp_path_factory.mktemp("home")
    text = (example.EXAMPLE / "tiny.ks").read_text(encoding="utf-8").replace("@REPO@", example.repository())
    (place / "device.ks").write_text(text.replace("@GREETING@", "hello"), encoding="utf-8")
    (place / ".venv").symlink_to(example.CHECKOUT / ".venv")
    return place


def test_there_is_something_to_type() -> None:
    assert len(MAKE) >= 3
    assert len(IMG) >= 5


@pytest.mark.parametrize("command", IMG)
def test_a_command_of_the_readme_works(command: str, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run(
        shlex.split(command), cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", MAKE)
def test_a_target_of_the_readme_is_one(command: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *command.split()[1:]],
        cwd=example.CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
