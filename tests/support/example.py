# SPDX-License-Identifier: GPL-2.0-or-later
"""The example as a user has it: its packages in build/tiny, and its kickstarts built with `img`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["CHECKOUT", "EXAMPLE", "build", "delivered", "repository"]

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "tiny"


def repository() -> str:
    """Make the example's packages where they are not up to date; their path as it belongs into a file:// URL."""
    made = subprocess.run([EXAMPLE / "make-repository"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()[-1].removeprefix("repository: ")


def build(
    kickstart: str, place: Path, *, image_type: str, release: str = "1.0", greeting: str = "hello"
) -> dict[str, Any]:
    """Build one of the example's kickstarts below `place`; the job's record. Fails where the image does."""
    done = subprocess.run(
        [
            Path(sys.executable).parent / "img", "build", EXAMPLE / kickstart, "--type", image_type, "--json",
            "--name", kickstart.removesuffix(".ks"),
            "--tokenmap", f"REPO:{repository()},RELEASE:{release},GREETING:{greeting}",
            "--spool", place / "spool", "--outdir", place / "images",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"img build ended with {done.returncode}:\n{done.stderr}\n{done.stdout}"
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def delivered(record: dict[str, Any], kind: str) -> Path:
    """The one file of that kind that the job delivered."""
    names = [each["name"] for each in record["artifacts"] if each["kind"] == kind]
    assert len(names) == 1, f"{kind}: {record['artifacts']}"
    return Path(record["directory"]) / names[0]
