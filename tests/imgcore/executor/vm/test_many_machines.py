# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm with many machines, at once and in a row: none meets another, and nothing is left.

`IMAGER_VM_ROUNDS=200` runs as many in a row.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgcore.executor.vm import domain
from tests.support import machines
from tests.support.sandboxes import Said

pytestmark = [pytest.mark.real, pytest.mark.vm, pytest.mark.full, pytest.mark.timeout(3600)]

_SMALL = (f"--memory={256 << 20}", f"--disk={64 << 20}", "--processes=100")
_ROUNDS = int(os.environ.get("IMAGER_VM_ROUNDS", "10"))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert machines.left() == []


def marked(number: int, cache: Path) -> Said:
    """A machine that leaves its number on its disk, waits and delivers what it finds there then."""
    script = f"echo {number} >>/run/imager/build/number; sleep 3; cp /run/imager/build/number /run/imager/out"
    return machines.run(script, cache, *_SMALL)


def delivered(said: Said) -> str:
    assert said.refused == "" and said.end["status"] == 0, (said.refused, said.lines)
    return said.files["number"][1][0].decode().strip()


def test_sixteen_at_once_each_have_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: marked(number, tmp_path), range(16)))
    assert [delivered(each) for each in found] == [str(number) for number in range(16)]


def test_one_after_the_other_each_finds_nothing_of_those_before(tmp_path: Path) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(_ROUNDS):
        said = machines.run(f"ls -A /run/imager/build /run/imager/out; echo {number}", tmp_path, *_SMALL)
        found = [line for line in said.lines if line and not line.startswith("[imager")]
        assert found == ["/run/imager/build:", "root", "/run/imager/out:", str(number)], said.refused
        assert machines.left() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def libvirtd() -> int:
    """The daemon that serves the machines."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"{os.environ['HOME']}/.cache"
    place = "/run" if machines.URI == domain.SYSTEM else runtime
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.connect(f"{place}/libvirt/libvirt-sock")
        (pid, *_) = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def ended(how: signal.Signals, cache: Path) -> Said:
    """What comes of a build whose libvirtd is ended, and started anew by the next one."""
    assert machines.run("echo first", cache, *_SMALL).lines[-1] == "first"
    found: list[Said] = []
    script = "echo there; i=0; while [ $i -lt 20 ]; do sleep 1; i=$((i+1)); done; echo data >/run/imager/out/made"
    thread = threading.Thread(target=lambda: found.append(machines.run(script, cache, *_SMALL)))
    thread.start()
    end = time.monotonic() + 120
    while not machines.left() and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(8)
    daemon = libvirtd()
    os.kill(daemon, how)
    while Path(f"/proc/{daemon}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    other = machines.run("echo other", cache, *_SMALL)
    assert other.lines[-1] == "other" and libvirtd() != daemon, other.refused
    thread.join(300)
    subprocess.run(["virsh", "-c", machines.URI, "list"], check=True, capture_output=True)
    return found[0]


def test_a_build_goes_on_when_libvirtd_is_killed_and_leaves_nothing(tmp_path: Path) -> None:
    said = ended(signal.SIGKILL, tmp_path)
    assert said.refused == "" and said.end["status"] == 0, said.refused
    assert list(said.files) == ["made"]


def test_a_build_ends_with_a_libvirtd_that_ends_in_good_order_and_says_so(tmp_path: Path) -> None:
    assert "libvirt's daemon was ended, and the virtual machine with it" in ended(signal.SIGTERM, tmp_path).refused
