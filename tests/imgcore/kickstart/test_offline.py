# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/offline.py."""

import subprocess
import sys
from pathlib import Path


def run(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    return done.stdout + done.stderr


def test_reading_kickstarts_loads_no_http_client() -> None:
    text = "import sys, imgcore.kickstart; print({'requests', 'urllib3', 'http.client'} & set(sys.modules))"
    assert run(text) == "set()\n"


def test_whoever_wants_the_http_client_gets_the_real_one() -> None:
    assert run("import imgcore.kickstart, requests; print(requests.Session.__name__)") == "Session\n"
    assert run("import requests, imgcore.kickstart, pykickstart.load as l; print(l.requests is requests)") == "True\n"
