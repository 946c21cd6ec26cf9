# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what of imgcore/executor/vm/launcher.py needs no machine; those run in test_machine.py."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imgcore.executor import frames
from imgcore.executor.vm import accelerators, domain, initramfs, launcher
from imgcore.executor.vm.accelerators import Memory
from imgcore.executor.vm.initramfs import Unusable, find_kernel


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The accelerators of machines that were to be started; none of them can be."""
    found: list[str] = []

    class Broken:
        def __init__(self, uri: str, machine: domain.Machine) -> None:
            found.append(machine.accelerator)
            raise Unusable("virtlogd is away")

    monkeypatch.setattr(domain, "Domain", Broken)
    monkeypatch.setattr(domain, "make_ready", lambda uri, *, kvm: None)
    monkeypatch.setattr(domain, "user_of", lambda uri: None)
    monkeypatch.setattr(accelerators, "usable", lambda: True)
    monkeypatch.setattr(initramfs, "build", lambda *given, base: b"")
    return found


def test_where_no_machine_starts_nothing_is_blamed_on_the_accelerator(tried: list[str], tmp_path: Path) -> None:
    request = launcher.parser().parse_args([f"--cache={tmp_path}", "--tool=x", "--shell"])
    with pytest.raises(Unusable, match="virtlogd is away"):
        launcher._run(request, frames.Writer(os.open(os.devnull, os.O_WRONLY)))
    assert tried == ["kvm", "tcg"]
    assert Memory(tmp_path, find_kernel()).verdict() == ""


def test_nothing_of_a_machine_that_did_not_start_is_left(tried: list[str], tmp_path: Path) -> None:
    request = launcher.parser().parse_args([f"--cache={tmp_path}", "--tool=x", "--shell", "--accelerator=tcg"])
    with pytest.raises(Unusable):
        launcher._run(request, frames.Writer(os.open(os.devnull, os.O_WRONLY)))
    assert not list(Path("/tmp").glob(f"imager-vm-{os.getpid()}-*"))


@pytest.mark.parametrize("error", [Unusable("no libvirt", "install it"), OSError(28, "No space left", "/tmp/x")])
def test_who_wanted_a_shell_reads_a_sentence_and_no_frames(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(launcher, "_run", fail)
    before = os.dup(1)
    try:
        assert launcher.main(["--cache=/x", "--tool=x", "--shell"]) == 1
    finally:
        os.dup2(before, 1)
        os.close(before)
    out, told = capfd.readouterr()
    assert out == "" and told.startswith("img: ") and told.count("\n") == 1


def test_a_panic_is_told_however_long_its_trace_is() -> None:
    ours, theirs = socket.socketpair()
    console = launcher._Console(ours)
    with theirs:
        theirs.sendall(b"imager: the machine is there\n[ 19.3] Kernel panic - not syncing: sysrq triggered crash\n")
        theirs.sendall(b"".join(b"[ 19.4]  ? do_syscall_64+0x%x/0xb0\n" % number for number in range(5000)))
    assert console.last() == "[ 19.3] Kernel panic - not syncing: sysrq triggered crash"
    ours.close()
