# SPDX-License-Identifier: GPL-2.0-or-later
"""The example is made by every tool there is: the built-in one, and a real mic where IMAGER_MIC names its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import example
from tests.support.machine import nothing_left

pytestmark = pytest.mark.real

MIC = os.environ.get("IMAGER_MIC", "")


@pytest.mark.parametrize("tool", ["builtin", *(["mic"] if MIC else [])])
@pytest.mark.parametrize("image_type", ["fs", "loop", "raw"])
def test_the_example_is_made_by(tool: str, image_type: str, tmp_path: Path) -> None:
    configuration = tmp_path / "imager.conf"
    configuration.write_text(f"[imager]\ntool = {tool}\n[tool mic]\ncommand = {MIC or 'mic'}\n")
    with nothing_left():
        done = subprocess.run(
            [
                Path(sys.executable).parent / "img", "build", example.EXAMPLE / "tiny.ks", "--type", image_type,
                "--config", configuration, "--name", "tiny", "--json",
                "--tokenmap", f"REPO:{example.repository()},RELEASE:1.0,GREETING:hi",
                "--spool", tmp_path / "spool", "--outdir", tmp_path / "images",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["tool"] == tool
    assert {each["kind"] for each in record["artifacts"]} >= {"image" if image_type != "fs" else "archive", "log"}
    assert record["package_count"] == 5
