# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/daemons.py: what the daemons see of a device that does not work, and how they end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.sandboxes import PYTHON, REPOSITORY, as_root

pytestmark = pytest.mark.real

#: /dev/null stands for the device, which the tests' machine need not have.
_BEGIN = f"""
import os, socket, stat, sys
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from imgcore.executor import kernel
from imgcore.executor.vm import daemons
daemons.KVM = Path("/dev/null")
kernel.unshare(kernel.NEW_MOUNTS)
kernel.move_to_own_root()
"""
_SEEN = """
def seen():
    found = {str(each): each.lstat() for each in Path("/dev").rglob("*") if not str(each).startswith("/dev/pts/")}
    return {name: (each.st_mode, each.st_uid, each.st_gid, each.st_rdev) for name, each in found.items()
            if stat.S_IFMT(each.st_mode) in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFLNK)}
"""
#: A daemon that started us would be in such a namespace, and listen; `ask` joins it.
_DAEMON = f"""
path = "/tmp/imager-test-daemons-{os.getpid()}"
ready, over = os.pipe(), os.pipe()
daemon = os.fork()
if daemon == 0:
    kernel.unshare(kernel.NEW_MOUNTS)
    if OURS:
        daemons._own_devices()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    os.write(ready[1], b"x")
    os.read(over[0], 1)
    os._exit(0)
os.read(ready[0], 1)
asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
asked.connect(path)
os.unlink(path)
def ask(kvm):
    child = os.fork()
    if child == 0:
        daemons.join(asked, kvm=kvm)
        inside = os.path.samefile("/proc/self/ns/mnt", f"/proc/{{daemon}}/ns/mnt")
        print(inside, os.path.exists("/dev/null"), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
_END = """
os.write(over[1], b"x")
os.waitpid(daemon, 0)
"""


def told(code: str) -> list[str]:
    """What root reads when it runs this."""
    done = subprocess.run(
        as_root([PYTHON, "-I", "-c", _BEGIN + code]), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_daemons_own_devices_are_those_of_the_machine() -> None:
    same, covered = told(f"""{_SEEN}
before = seen()
daemons._own_devices()
print(before == seen() and len(before) > 10)
places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
print(sorted(each for each in set(places) if each.startswith("/dev") and places.count(each) > 1))
""")
    assert (same, covered) == ("True", "[]")


def test_a_daemon_of_ours_is_without_the_device_from_a_verdict_to_the_next_trial() -> None:
    found = told(f"""OURS = True
{_DAEMON}
ask(True); ask(False); ask(False); ask(True)
{_SEEN}
before = seen()
daemons.join(asked, kvm=True)
print(before == seen())
{_END}""")
    assert found == ["True True", "True False", "True False", "True True", "True"]


def test_another_daemon_keeps_its_devices() -> None:
    assert told(f"OURS = False\n{_DAEMON}\nask(False)\n{_END}") == ["True True"]


def test_a_daemon_that_cannot_end_is_helped_and_one_that_does_not_want_to_end_is_left(tmp_path: Path) -> None:
    # The kernel calls a process like its program, and that is how libvirtd calls the thread that it ends by.
    for name in ("daemon-shutdown", "at-work"):
        daemon = tmp_path / name
        daemon.write_text("#!/usr/bin/python3\nimport time\ntime.sleep(4)\n")
        daemon.chmod(0o755)
    code = f"""
import time
os.environ["PATH"] = {str(tmp_path)!r}
daemons._END_SECONDS = 0.5
for name in ("daemon-shutdown", "at-work"):
    began = time.monotonic()
    print(daemons.main([name]), time.monotonic() - began < 3.5)
"""
    assert told(code) == ["0 True", "0 False"]


@pytest.mark.parametrize(("status", "ended"), [(0, "[<Signals.SIGTERM: 15>]"), (2, "[]")])
def test_what_another_daemon_may_need_is_ended_by_nobody_else(tmp_path: Path, status: int, ended: str) -> None:
    for name, does in (("log", "exec sleep 600"), ("main", f"exit {status}")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    code = f"""
import signal
os.environ["PATH"] = {f"{tmp_path}:/usr/bin:/bin"!r}
kill, signals = os.kill, []
os.kill = lambda pid, number: signals.append(number)
print(daemons.main(["log", "main"]), signals)
kill(int(Path(f"/proc/self/task/{{os.getpid()}}/children").read_text()), signal.SIGKILL)
"""
    assert told(code) == [f"0 {ended}"]
