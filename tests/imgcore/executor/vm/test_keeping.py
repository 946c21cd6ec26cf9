# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/keeping.py: what is kept of a machine whose tool failed, and of which nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgcore.executor import frames
from imgcore.executor.vm import keeping
from tests.support import machines

_SMALL = (f"--memory={256 << 20}", f"--disk={64 << 20}", "--processes=100")


def read(disk: Path, path: str) -> str:
    """What a file on the disk has, by the file system's own tools."""
    command = ["debugfs", "-R", f"cat {path}", str(disk)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_disk_is_kept_with_its_holes_for_nobody_else(tmp_path: Path) -> None:
    written = tmp_path / "written"
    with written.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"data")
    with written.open("rb") as opened:
        written.unlink()
        keeping.keep(opened.fileno(), ["one", "two"], tmp_path / "vm")
    disk = keeping.disk_of(tmp_path)
    assert disk is not None and disk.stat().st_size == 1 << 30 and disk.stat().st_blocks * 512 < 1 << 20
    with disk.open("rb") as kept:
        kept.seek(1 << 29)
        assert kept.read(4) == b"data"
    assert (tmp_path / "vm/console").read_text() == "one\ntwo\n"
    assert (disk.stat().st_mode & 0o777, disk.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in tmp_path.iterdir()] == ["vm"]


def test_what_cannot_be_kept_whole_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/older").touch()
    with (tmp_path / "empty").open("w+b") as opened, pytest.raises(OSError):
        keeping.keep(opened.fileno(), [], tmp_path / "vm")
    assert keeping.disk_of(tmp_path) is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "vm"]


def test_what_is_forgotten_is_gone_and_the_rest_is_not(tmp_path: Path) -> None:
    (tmp_path / "job.json").touch()
    with (tmp_path / "job.json").open("rb") as opened:
        keeping.keep(opened.fileno(), [], tmp_path / "vm")
    assert keeping.forget(tmp_path) and not keeping.forget(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["job.json"]


@pytest.mark.parametrize("how", ["forgotten", "kept again"])
def test_half_a_copy_goes_when_whoever_made_it_is_dead(tmp_path: Path, how: str) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    halves = [tmp_path / f".vm.{ended.pid}", tmp_path / f".vm.{os.getppid()}", tmp_path / ".vm.x"]
    for each in halves:
        each.mkdir()
        (each / "disk").touch()
    if how == "forgotten":
        assert not keeping.forget(tmp_path)
    else:
        with (halves[2] / "disk").open("rb") as opened:
            keeping.keep(opened.fileno(), [], tmp_path / "vm")
    assert [each.exists() for each in halves] == [False, True, True]


@pytest.mark.real
@pytest.mark.vm
def test_a_machine_whose_tool_failed_is_kept_with_all_that_it_wrote(tmp_path: Path) -> None:
    script = "echo late >/run/imager/build/last; exit 3"
    said = machines.run(script, tmp_path, *_SMALL, f"--keep={tmp_path / 'vm'}")
    assert said.end["status"] == 3
    disk = keeping.disk_of(tmp_path)
    assert disk is not None and read(disk, "work/imager/build/last") == "late\n"
    assert "the machine is there" in (tmp_path / "vm/console").read_text()
    assert machines.left() == []


@pytest.mark.real
@pytest.mark.vm
@pytest.mark.full
def test_so_is_one_that_broke_down(tmp_path: Path) -> None:
    script = "echo before >/run/imager/build/last; sync; echo c >/proc/sysrq-trigger; sleep 100"
    said = machines.run(script, tmp_path, *_SMALL, f"--keep={tmp_path / 'vm'}")
    assert "Kernel panic" in said.refused
    disk = keeping.disk_of(tmp_path)
    assert disk is not None and read(disk, "work/imager/build/last") == "before\n"
    assert "Kernel panic" in (tmp_path / "vm/console").read_text()


@pytest.mark.real
@pytest.mark.vm
@pytest.mark.full
@pytest.mark.parametrize("how", ["it went well", "nobody waits"])
def test_of_others_nothing_is_kept(how: str, tmp_path: Path) -> None:
    script = "echo there; " + ("sleep 600" if how == "nobody waits" else "exit 0")
    tool = ["--tool=shell", "--command=/bin/sh", "--command=-c", f"--command={script}", "--accelerator=tcg"]
    command = [*machines.start(), *tool, f"--cache={tmp_path}", *_SMALL, f"--keep={tmp_path / 'vm'}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(frames.pack_inputs({}))
        process.stdin.flush()
        lines = (content for kind, content in frames.read(process.stdout) if kind == frames.LINES)
        assert b"there" in lines
        if how == "nobody waits":
            process.stdin.close()
        process.stdout.read()
    assert not any(each.name.startswith((".vm", "vm")) for each in tmp_path.iterdir())
    assert machines.left() == []
