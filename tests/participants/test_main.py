# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves participants/__main__.py and what the participants declare."""

import subprocess
import sys
from pathlib import Path

from imgcore.declaration import table
from participants.__main__ import NAMES, declarations

PARTICIPANTS = Path(__file__).parents[2] / "participants"


def test_every_participant_declares_what_it_reads_and_writes() -> None:
    files = {path.stem for path in PARTICIPANTS.glob("*.py")} - {"__init__", "__main__"}
    assert [each.participant for each in declarations()] == list(NAMES)
    assert files == set(NAMES)
    assert all(each.reads and each.writes for each in declarations())


def test_the_tables_are_printed_for_the_documentation() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "participants"], cwd=PARTICIPANTS.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, table(declarations()))


def test_a_participant_loads_nothing_that_only_a_build_needs() -> None:
    code = (
        "import sys\nfrom participants import build_image, request_image, update_image_status\n"
        "print(*{name.split('.')[0] for name in sys.modules} & {'pykickstart', 'rich', 'jinja2', 'click', 'dnf'},"
        " 'imgcore.worker' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PARTICIPANTS.parent, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
