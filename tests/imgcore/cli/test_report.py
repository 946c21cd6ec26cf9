# SPDX-License-Identifier: GPL-2.0-or-later
"""`img report` that stays, and that checks."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.spool import Spool
from tests.support import report_spool as jobs
from tests.support.img import IMG

pytestmark = pytest.mark.real


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    jobs.make(spool, "w-1")
    return spool


@pytest.fixture
def command(spool: Spool, tmp_path: Path) -> list[str]:
    return [str(IMG), "report", "--spool", str(spool.root), "--outdir", str(tmp_path / "site")]


@pytest.fixture
def watching(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen([*command, "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield running
    running.kill()
    running.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_it_says_where_the_pages_are_keeps_them_fresh_and_ends_well_when_told(
    spool: Spool, tmp_path: Path, watching: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert watching.stdout is not None
    assert watching.stdout.readline() == f"{(tmp_path / 'site/index.html').as_uri()}\n"
    jobs.make(spool, "n-1")
    end = time.monotonic() + 30
    while not (tmp_path / "site/jobs/n-1/index.html").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    watching.send_signal(number)
    assert watching.communicate(timeout=30) == ("", "")
    assert watching.returncode == 0


def test_check_names_what_differs_from_pages_made_anew(command: list[str], tmp_path: Path) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)

    done = check()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    path = tmp_path / "site/jobs/w-1/index.html"
    path.write_text(path.read_text().replace("In queue", "In doubt"))
    done = check()
    assert (done.returncode, done.stdout) == (1, "jobs/w-1/index.html\n")
    assert done.stderr.startswith("img: 1 file of the report would be made otherwise anew")
    path.unlink()
    assert check().returncode == 0


def test_to_stay_and_to_check_do_not_go_together(command: list[str]) -> None:
    done = subprocess.run([*command, "--watch", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--watch and --check do not go together" in done.stderr
