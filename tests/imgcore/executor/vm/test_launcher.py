# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what of imgcore/executor/vm/launcher.py needs no machine; those run in test_machine.py."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from imgcore.executor import frames
from imgcore.executor.vm import accelerators, domain, initramfs, launcher
from imgcore.executor.vm.accelerators import WORKS, Memory
from imgcore.executor.vm.agent import HELLO
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
    for place in launcher._places(request.cache, None):
        assert not list(place.glob(f"imager-vm-{os.getpid()}-*"))


def test_the_files_of_a_machine_are_on_a_disk_and_nobody_but_qemu_gets_at_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initramfs, "build", lambda *given, base: b"")
    monkeypatch.setattr(os, "chown", lambda *_: None)
    request = launcher.parser().parse_args([f"--cache={tmp_path / ('x' * 60)}", "--tool=x"])
    for user, expected in ((None, {}), ((64055, 108), {64055: 1})):
        with launcher._place(request, find_kernel(), user) as place:
            assert place.parent == Path("/var/tmp")
            assert place.stat().st_mode & 0o007 == 0
            assert access_list(place) == expected


def test_a_users_own_machines_are_where_a_libvirtd_that_a_service_started_can_write_too() -> None:
    short, too_long = "/home/user/.local/share/imager/cache", f"/home/{'x' * 60}"
    assert launcher._places(short, None)[0] == Path(short)
    assert launcher._places(too_long, None)[0] == Path("/var/tmp")
    assert launcher._places(short, (64055, 108))[0] == Path("/var/tmp")


def access_list(path: Path) -> dict[int, int]:
    """The users who are named in it, with their rights (1: to go through)."""
    try:
        packed = os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return {}
    return {who: rights for tag, rights, who in struct.iter_unpack("<HHI", packed[4:]) if tag == 2}


def test_where_no_temporary_directory_can_be_written_the_files_are_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initramfs, "build", lambda *given, base: b"")
    request, kernel = launcher.parser().parse_args([f"--cache={tmp_path}", "--tool=x"]), find_kernel()
    monkeypatch.setattr(os, "access", lambda path, how: path == tmp_path)
    with launcher._place(request, kernel, None) as place:
        assert place.parent == tmp_path


def test_what_a_launcher_has_left_that_was_killed_goes_wherever_it_is(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    left = [tmp_path / str(number) / f"imager-vm-{pid}-x" for number, pid in enumerate((ended.pid, ended.pid))]
    alive = tmp_path / f"1/imager-vm-{os.getpid()}-x"
    for each in (*left, alive):
        each.mkdir(parents=True)
    launcher._sweep([tmp_path / "0", tmp_path / "1", tmp_path / "none"])
    assert [each.exists() for each in (*left, alive)] == [False, False, True]


@pytest.mark.parametrize(("size", "ended"), [(3 << 20, True), (1 << 19, False)])
def test_a_machine_that_changes_more_of_its_base_than_a_job_may_write_is_ended(
    tmp_path: Path, size: int, ended: bool
) -> None:
    class Running:
        over = threading.Event()

        def end(self) -> None:
            self.over.set()

    overlay = tmp_path / "root"
    with overlay.open("wb") as file:
        file.truncate(1 << 40)
        file.write(bytes(size))
    running = Running()
    with launcher._Growth(running, overlay, 1 << 20) as growth:  # type: ignore[arg-type]
        assert not ended or running.over.wait(60)
    assert (growth.passed, running.over.is_set()) == (ended, ended)


class Machine:
    """One that does what `behaviour` says of its accelerator: it starts, is silent, ends, or none is made."""

    behaviour: ClassVar[Mapping[str, str]] = {}

    def __init__(self, uri: str, machine: domain.Machine) -> None:
        self.does = self.behaviour[machine.accelerator]
        if self.does in ("none", "unknown"):
            raise Unusable("virtlogd is away" if self.does == "none" else "no support of virt type 'kvm'")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is there to be ended."""

    def channel(self, name: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        if self.does == "starts":
            theirs.sendall(f"{HELLO}\n".encode())
        if self.does == "silent":
            self.kept = theirs
        else:
            theirs.close()
        return ours

    def resume(self) -> None:
        """It does what it does."""

    def end(self) -> None:
        """It has ended."""

    def forgotten(self) -> bool:
        return self.does == "ends"


def begin(behaviour: Mapping[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a machine; what went wrong."""
    monkeypatch.setattr(domain, "Domain", Machine)
    monkeypatch.setattr(Machine, "behaviour", behaviour)
    monkeypatch.setattr(launcher, "_serve", lambda *_: True)
    # Who says nothing is not waited for; everybody else has time.
    seconds = 0.1 if behaviour["kvm"] == "silent" else 60
    monkeypatch.setattr(launcher, "_TRIAL_SECONDS", seconds)
    monkeypatch.setattr(launcher, "_HELLO_SECONDS", seconds if Memory(cache, find_kernel()).verdict() else 60)
    monkeypatch.setattr(launcher._Console, "last", lambda _: "it said nothing")
    request = launcher.parser().parse_args([f"--cache={cache}", "--tool=x", "--shell"])
    try:
        launcher._run(request, frames.Writer(os.open(os.devnull, os.O_WRONLY)))
    except Unusable as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("kvm", "remembered"),
    [("starts", WORKS), ("silent", "the virtual machine did not start with kvm: it said nothing"), ("none", ""),
     ("ends", ""), ("unknown", "no support of virt type 'kvm'")],
)  # fmt: skip
def test_only_an_accelerator_with_which_the_kernel_did_not_come_up_is_not_tried_again(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: str, remembered: str
) -> None:
    assert begin({"kvm": kvm, "tcg": "starts"}, tmp_path, monkeypatch) == ""
    assert Memory(tmp_path, find_kernel()).verdict() == remembered


@pytest.mark.parametrize("kvm", ["silent", "none"])
def test_an_accelerator_that_works_no_more_is_tried_anew(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: str
) -> None:
    Memory(tmp_path, find_kernel()).remember(WORKS)
    assert begin({"kvm": kvm, "tcg": "starts"}, tmp_path, monkeypatch)
    assert Memory(tmp_path, find_kernel()).verdict() == ""


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
