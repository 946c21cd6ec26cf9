# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/domain.py's description and accelerators.py; machines run in test_machine.py."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from imgcore.executor.vm import accelerators, daemons, domain
from imgcore.executor.vm.accelerators import WORKS, Memory, candidates
from imgcore.executor.vm.domain import Machine
from imgcore.executor.vm.initramfs import Kernel, Unusable


def described(tmp_path: Path, **more: object) -> ElementTree.Element:
    machine = Machine(
        name="imager-1", place=tmp_path, kernel=Path("/boot/k"), initramfs=tmp_path / "i", arguments="a <b> & 'c'",
        disk=tmp_path / "d", memory_bytes=3 << 30, cores=2, shared={"s0": "/usr", "r0": "/a <dir>"}, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return ElementTree.fromstring(domain.xml(machine))


def test_every_shared_directory_is_read_only(tmp_path: Path) -> None:
    shares = described(tmp_path).findall("devices/filesystem")
    assert [each.find("source").get("dir") for each in shares] == ["/usr", "/a <dir>"]  # type: ignore[union-attr]
    assert all(each.find("readonly") is not None for each in shares)


def test_what_it_is_given_is_text_and_never_markup(tmp_path: Path) -> None:
    assert described(tmp_path).findtext("os/cmdline") == "a <b> & 'c'"


def test_it_ends_instead_of_starting_anew(tmp_path: Path) -> None:
    made = described(tmp_path)
    assert [made.findtext(each) for each in ("on_poweroff", "on_reboot", "on_crash")] == ["destroy"] * 3


def test_it_has_a_network_card_only_when_the_network_is_open(tmp_path: Path) -> None:
    assert described(tmp_path).find("devices/interface") is None
    assert described(tmp_path, network=True).find("devices/interface") is not None


def test_qemu_runs_as_the_user_that_is_named_and_no_file_changes_its_owner(tmp_path: Path) -> None:
    label = described(tmp_path, user=(64055, 110)).find("seclabel")
    assert label is not None
    assert (label.findtext("label"), label.get("relabel"), label.get("model")) == ("+64055:+110", "no", "dac")
    assert described(tmp_path).find("seclabel") is None


def test_memory_and_cores_are_as_wanted(tmp_path: Path) -> None:
    made = described(tmp_path)
    assert (made.findtext("memory"), made.findtext("vcpu")) == (str(3 << 20), "2")


def test_without_a_base_image_it_has_one_disk(tmp_path: Path) -> None:
    assert [each.get("dev") for each in described(tmp_path).findall("devices/disk/target")] == ["vda"]


def test_of_a_base_image_it_writes_to_an_overlay_alone(tmp_path: Path) -> None:
    made = described(tmp_path, root=domain.Root(tmp_path / "over", "/bases/one.img", "raw"))
    scratch, root = made.findall("devices/disk")
    assert scratch.find("backingStore") is None
    assert (root.find("source").get("file"), root.find("driver").get("type")) == (f"{tmp_path}/over", "qcow2")  # type: ignore[union-attr]
    assert root.find("backingStore/source").get("file") == "/bases/one.img"  # type: ignore[union-attr]
    assert root.find("backingStore/format").get("type") == "raw"  # type: ignore[union-attr]
    assert root.findtext("serial") == "imager-base"


def test_what_a_base_image_says_it_is_based_on_is_never_opened(tmp_path: Path) -> None:
    below = described(tmp_path, root=domain.Root(tmp_path / "o", "/b", "qcow2")).find("devices/disk/backingStore")
    assert below is not None
    (end,) = below.findall("backingStore")
    assert len(end) == 0 and end.attrib == {}


def test_for_the_session_qemu_runs_as_whoever_asks() -> None:
    assert domain.user_of(domain.SESSION) is None


def test_for_the_system_it_runs_as_a_user_that_is_not_root() -> None:
    user = domain.user_of(domain.SYSTEM)
    assert user is not None and user[0] != 0


def test_a_machine_without_such_a_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "_USERS", ("nobody-has-this-name",))
    with pytest.raises(Unusable) as told:
        domain.user_of(domain.SYSTEM)
    assert told.value.remedy == "apt install libvirt-daemon-system"


@pytest.mark.parametrize(
    ("wanted", "usable", "verdict", "tried"),
    [
        ("auto", True, "", ["kvm", "tcg"]),
        ("auto", True, WORKS, ["kvm", "tcg"]),
        ("auto", True, "it hangs", ["tcg"]),
        ("auto", False, "", ["tcg"]),
        ("kvm", False, "it hangs", ["kvm"]),
        ("tcg", True, WORKS, ["tcg"]),
    ],
)
def test_what_is_tried(
    monkeypatch: pytest.MonkeyPatch, wanted: str, usable: bool, verdict: str, tried: list[str]
) -> None:
    monkeypatch.setattr(accelerators, "usable", lambda: usable)
    assert list(candidates(wanted, verdict)) == tried


def test_of_two_that_want_daemons_at_once_one_starts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "libvirt").mkdir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    started: list[Sequence[str]] = []

    def start(names: Sequence[str]) -> None:
        started.append(names)
        with (tmp_path / "libvirt/imager.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if len(started) == 1:
            listener.bind(str(tmp_path / "libvirt/libvirt-sock"))
            listener.listen()

    both, answers = threading.Barrier(2), domain._answers
    asked = threading.local()

    def both_find_nothing_first(path: str) -> bool:
        if not hasattr(asked, "once"):
            asked.once = True
            both.wait(60)
            return False
        return answers(path)

    monkeypatch.setattr(daemons, "start", start)
    monkeypatch.setattr(domain, "_answers", both_find_nothing_first)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(domain._have_daemons, [domain.SESSION] * 2))
    listener.close()
    assert started == [["libvirtd"]]
    assert (tmp_path / "libvirt/imager.lock").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def processes() -> Iterator[Callable[..., int]]:
    """Starts a process that looks like another, by its command line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *words: str) -> int:
        code = ["-c", "import time; print(flush=True); time.sleep(60)"]
        started.append(subprocess.Popen([name, *code, *words], executable=sys.executable, stdout=subprocess.PIPE))
        assert started[-1].stdout and started[-1].stdout.readline()
        return started[-1].pid

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_only_a_qemu_that_libvirt_asks_what_it_can_is_ended_and_only_when_it_hangs(
    processes: Callable[..., int],
) -> None:
    asked = processes("/usr/bin/qemu-system-x86_64", "-machine", "none,accel=kvm:tcg", "-daemonize")
    processes("/usr/bin/qemu-system-x86_64", "-machine", "pc,accel=kvm:tcg")
    processes("/usr/bin/another", "-machine", "none,accel=kvm:tcg")
    assert asked not in domain.end_hanging_questions(60)
    assert domain.end_hanging_questions(0) == [asked]


def test_the_log_of_a_machine_goes_with_the_next_launcher_when_its_own_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    domain.remove_logs(domain.SESSION)
    logs = tmp_path / "libvirt/qemu/log"
    logs.mkdir(parents=True)
    with subprocess.Popen(["true"]) as ended:
        pass
    for name in (f"imager-{ended.pid}-1a2b3c4d", f"imager-{os.getpid()}-1a2b3c4d", "imager-x", "another-1"):
        (logs / f"{name}.log").touch()
    domain.remove_logs(domain.SESSION)
    assert {each.name for each in logs.iterdir()} == {
        f"imager-{os.getpid()}-1a2b3c4d.log", "imager-x.log", "another-1.log",
    }  # fmt: skip


def kernel(tmp_path: Path) -> Kernel:
    (tmp_path / "vmlinuz").write_text("x")
    return Kernel(tmp_path / "vmlinuz", "1")


def test_a_verdict_is_remembered_for_this_machine_and_kernel(tmp_path: Path) -> None:
    known = kernel(tmp_path)
    assert Memory(tmp_path, known).verdict() == ""
    Memory(tmp_path, known).remember("it hangs")
    assert Memory(tmp_path, known).verdict() == "it hangs"
    os.utime(known.image, (5, 5))
    assert Memory(tmp_path, known).verdict() == ""


@pytest.mark.parametrize(("verdict", "age", "still"), [
    ("it hangs", 80_000, "it hangs"), ("it hangs", 90_000, ""), ("it hangs", -90_000, ""), (WORKS, 10**8, WORKS),
])  # fmt: skip
def test_an_accelerator_that_did_not_work_is_tried_again_a_day_later(
    tmp_path: Path, verdict: str, age: int, still: str
) -> None:
    memory = Memory(tmp_path, kernel(tmp_path))
    memory.remember(verdict)
    told = json.loads((tmp_path / "accelerators.json").read_text())
    for each in told.values():
        each["at"] -= age
    (tmp_path / "accelerators.json").write_text(json.dumps(told))
    assert memory.verdict() == still


def test_a_verdict_is_forgotten_for_its_kernel_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    known, others = Memory(tmp_path, kernel(tmp_path)), Memory(tmp_path, kernel(other))
    known.remember(WORKS)
    others.remember("it hangs")
    known.forget()
    assert (known.verdict(), others.verdict()) == ("", "it hangs")


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"x": 3})])
def test_a_damaged_memory_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "accelerators.json").write_text(content)
    memory = Memory(tmp_path, kernel(tmp_path))
    assert memory.verdict() == ""
    memory.remember(WORKS)
    assert memory.verdict() == WORKS


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    Memory(tmp_path / "missing", kernel(tmp_path)).remember(WORKS)
    assert not (tmp_path / "missing").exists()
