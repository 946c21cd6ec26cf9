# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine whose build failed can be looked at, by whoever wants that, until it is forgotten."""

from __future__ import annotations

import os
import pty
import re
import time
from pathlib import Path

import pytest

from tests.support import machines, small
from tests.support.img import Done, Home
from tests.support.sandboxes import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.vm]

_TAIL = "%post --erroronfail\necho half done >/notes\nexit 7\n%end\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("kept") / "home")
    made.config("[vm]\naccelerator = tcg\nmemory = 768M\n", ".config/imager/imager.conf")
    return made


@pytest.fixture(scope="module")
def failed(home: Home) -> Done:
    """A build that failed after it had written something."""
    repository = small.repository(home.path / "repository")
    path = home.kickstart(small.kickstart(repository, tail=_TAIL), "fails.ks")
    return home.img("build", path, "--type=fs", "--executor=vm", "--keep-vm-on-failure", "--json")


def in_terminal(home: Home, *words: str, typed: str) -> tuple[int, str]:
    """How the command ended that was given a line at its prompt, and what it said."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(REPOSITORY)
        os.execve(home.command()[0], [*map(str, home.command(*words))], home.environment({"TERM": "dumb"}))
    said, done, end = "", False, time.monotonic() + 300
    while time.monotonic() < end:
        try:
            said += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:
            break
        if not done and re.search(r"# $", said):
            os.write(terminal, f"{typed}; exit\r".encode())
            done = True
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def test_the_record_and_img_show_say_that_it_is_kept_and_how_to_look(home: Home, failed: Done) -> None:
    image_id = failed.record["image_id"]
    kept = home.spool / "jobs" / image_id / "vm"
    assert failed.code == 1 and f"its machine is kept in {kept}" in failed.record["error_remedy"]
    assert f"`img vm shell {image_id}`" in home.img("show", image_id).out.replace("\n", " ")
    assert (kept / "disk").stat().st_blocks * 512 < 200 << 20 < (kept / "disk").stat().st_size
    assert machines.left() == []


def test_a_shell_finds_what_the_build_wrote_and_changes_nothing_of_it(home: Home, failed: Done) -> None:
    image_id = failed.record["image_id"]
    before = (home.spool / "jobs" / image_id / "vm/disk").stat().st_mtime_ns
    ask = "cat /scratch/work/imager/build/root/notes; rm -rf /scratch/work"
    code, said = in_terminal(home, "vm", "shell", image_id, typed=ask)
    assert code == 0 and "half done" in said.replace(ask, ""), said
    assert (home.spool / "jobs" / image_id / "vm/disk").stat().st_mtime_ns == before
    assert machines.left() == []


def test_what_it_takes_is_the_jobs_and_goes_when_it_is_forgotten(home: Home, failed: Done) -> None:
    image_id = failed.record["image_id"]
    freed = [home.img("gc", "--state=failed", "--json").record["would_free"]]
    assert home.img("vm", "forget", image_id).code == 0
    freed.append(home.img("gc", "--state=failed", "--json").record["would_free"])
    assert freed[0] - freed[1] > 100_000
    gone = home.img("vm", "shell", image_id)
    assert gone.code == 2 and "no machine of job" in gone.err
    assert not Path(home.spool / "jobs" / image_id / "vm").exists()
    assert home.img("show", image_id).code == 0


def test_without_a_machine_there_is_none_to_keep(home: Home) -> None:
    done = home.img("build", "x.ks", "--type=fs", "--executor=direct", "--keep-vm-on-failure")
    assert done.code == 2 and "--keep-vm-on-failure is for the executor vm" in done.err
