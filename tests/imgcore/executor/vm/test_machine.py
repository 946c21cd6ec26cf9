# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm with real machines: what a tool in one can do, and what is left of it.

Each of them runs a kernel, under emulation where there is nothing faster: what can be asked of one is asked of one.
The hostile ones that take their time are marked `full`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.executor import Limits, Outcome, Task
from imgcore.executor.local import vm
from imgcore.executor.vm import accelerators, initramfs
from imgcore.vmsettings import VmSettings
from tests.support import machines
from tests.support.sandboxes import Said

pytestmark = [pytest.mark.real, pytest.mark.vm]
full = pytest.mark.full

_SMALL = ("--processes=300", f"--disk={300 << 20}", f"--memory={700 << 20}")
#: As whoever rules in the machine; what is asked for, by the names of the sections of the answer.
_QUESTIONS = {
    "secrets": "cat /etc/shadow /etc/ssh/* /root/.* /etc/skynet/* 2>&1; ls -A /root /home",
    "usr": "touch /usr/x /usr/bin/x; mount -o remount,rw /usr; touch /usr/x; ls /usr/bin/python3",
    "network": "cat /proc/net/route | wc -l; ls /sys/class/net; python3 -c \"import socket; "
    "socket.create_connection(('10.0.2.2', 22), 5)\" 2>&1 | tail -1",
    "clock": "date -s 1970-01-02; date +%Y",
    "devices": "ls /dev | grep -v '^tty\\|^loop\\|^vcs' | tr '\\n' ' '; echo",
    "out": "cd /run/imager/out; ln -s /etc/passwd link; mkfifo pipe; mknod disk b 254 0; ln -s /etc elsewhere; "
    "mkdir -p deep/er; printf data >deep/er/file; chmod 4755 deep/er/file; echo made",
    "loop": "truncate -s 20M /run/imager/build/disk; losetup -f --show /run/imager/build/disk",
    "input": "cat /run/imager/in/plan; cat /run/imager/readable/0/marker",
    "links": "cat /run/imager/readable/0/a-way-out /run/imager/readable/0/another-way-out/beside",
    "raw": "mount -o remount,bind,rw /run/imager/readable/0; touch /run/imager/readable/0/x; "
    "rm -f /run/imager/readable/0/marker; ls /run/imager/readable/0",
}  # fmt: skip


def script(questions: dict[str, str]) -> str:
    return "\n".join(f"echo '== {name}'\n( {text} ) </dev/null 2>&1" for name, text in questions.items()) + "\nexit 0"


def answers(said: Said) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in said.lines:
        if line.startswith("== "):
            name = line.removeprefix("== ")
        found[name] = found.get(name, "") + (f"{line}\n" if not line.startswith("== ") else "")
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert machines.left() == []


@pytest.fixture(scope="module")
def said(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    shared = tmp_path_factory.mktemp("shared")
    (shared / "marker").write_text("from the host\n")
    (shared.parent / "beside").write_text("not for it\n")
    (shared / "a-way-out").symlink_to("../beside")
    (shared / "another-way-out").symlink_to(shared.parent)
    shared.chmod(0o755)
    return machines.run(
        script(_QUESTIONS), cache, f"--readable={shared}", *(f"--hide={each}" for each in VmSettings().hide),
        inputs={"plan": b"from the worker\n"},
    )  # fmt: skip


@pytest.fixture
def told(said: Said) -> dict[str, str]:
    assert said.refused == ""
    return answers(said)


def test_it_gets_its_input_and_the_directories_that_it_may_read(told: dict[str, str]) -> None:
    assert told["input"] == "from the worker\nfrom the host\n"


def test_a_link_in_a_directory_that_it_may_read_leads_nowhere_on_the_host(told: dict[str, str]) -> None:
    assert told["links"].count("No such file or directory") == 2 and "not for it" not in told["links"]


def test_it_sees_no_secret_of_the_host(told: dict[str, str]) -> None:
    assert (
        "root:x" not in told["secrets"]
        and "root:$" not in told["secrets"]
        and "PRIVATE KEY" not in told["secrets"]
        and "amqp" not in told["secrets"]
    )
    assert "/root:" in told["secrets"]
    assert [
        line for line in told["secrets"].splitlines() if line and not line.endswith(":") and "cat:" not in line
    ] == []


def test_the_hosts_system_cannot_be_written(told: dict[str, str]) -> None:
    assert "/usr/bin/python3" in told["usr"]
    assert not Path("/usr/x").exists() and not Path("/usr/bin/x").exists()


def test_a_share_that_is_made_writable_inside_is_read_only_on_the_hosts_side(told: dict[str, str]) -> None:
    assert told["raw"].count("Read-only file system") == 2 and "remount" not in told["raw"]
    assert told["raw"].endswith("marker\n")


def test_without_a_network_it_reaches_nothing(told: dict[str, str]) -> None:
    assert "lo\n" in told["network"] and "eth0" not in told["network"]
    assert "unreachable" in told["network"]


def test_its_clock_cannot_be_set_and_is_the_hosts(told: dict[str, str]) -> None:
    assert "cannot set date" in told["clock"]
    assert told["clock"].split()[-1] == str(time.gmtime().tm_year)


def test_only_regular_files_come_out_and_only_with_harmless_modes(said: Said, told: dict[str, str]) -> None:
    assert "made" in told["out"]
    assert list(said.files) == ["deep/er/file"]
    assert said.files["deep/er/file"] == (4, {0: b"data"})


def test_a_tool_can_make_loop_devices_of_its_own(told: dict[str, str]) -> None:
    assert told["loop"].startswith("/dev/loop")


def test_it_has_one_disk_and_none_of_the_hosts(told: dict[str, str]) -> None:
    disks = [name for name in told["devices"].split() if name.startswith(("vd", "sd", "nvme", "hd"))]
    assert disks == ["vda"]


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        pytest.param("echo c >/proc/sysrq-trigger", "Kernel panic", id="a panic"),
        pytest.param("echo b >/proc/sysrq-trigger", "started anew from inside", id="a restart", marks=full),
        pytest.param("echo i >/proc/sysrq-trigger", "turned off", id="its agent killed", marks=full),
    ],
)
def test_a_machine_that_is_ended_from_inside_is_a_sentence(cache: Path, how: str, sentence: str) -> None:
    # A line of its own before might not be out yet.
    said = machines.run(f"{how}; sleep 600", cache, *_SMALL)
    assert said.lines[-1] == "[imager boot 1/1] it is there"
    assert said.refused.startswith("the virtual machine ended before the build did: ") and sentence in said.refused


@full
def test_a_fork_bomb_is_the_machines_own_trouble(cache: Path) -> None:
    said = machines.run("f() { f | f & }; f; sleep 3; echo after; exit 3", cache, *_SMALL)
    # The shell itself may be refused a process, and ends with 2 then.
    assert (said.end.get("status") in (2, 3) and "Cannot fork" in said.text) or said.refused


@full
def test_who_takes_all_the_memory_is_ended_by_the_machines_kernel(cache: Path) -> None:
    said = machines.run("tail /dev/zero; echo status $?; exit 4", cache, *_SMALL)
    assert "status 137" in said.lines and said.end["status"] == 4


@full
def test_a_full_disk_is_an_error_of_the_job(cache: Path) -> None:
    said = machines.run("dd if=/dev/zero of=/run/imager/out/big bs=1M; echo status $?; exit 5", cache, *_SMALL)
    assert "No space left on device" in said.text and said.end["status"] == 5
    assert said.files == {}


@full
def test_who_writes_to_every_device_spoils_only_the_machine(cache: Path) -> None:
    said = machines.run(
        "for each in /dev/vda /dev/vport* /dev/ttyS0 /dev/mem /dev/console; do "
        "timeout 10 dd if=/dev/urandom of=$each bs=64k count=2000; done; exit 6", cache, *_SMALL
    )  # fmt: skip
    assert said.end.get("status") == 6 or said.refused


@full
def test_more_files_than_a_job_may_deliver_are_a_sentence(cache: Path) -> None:
    many = "import os\nos.chdir('/run/imager/out')\nfor number in range(100100): open(str(number), 'w').close()\n"
    said = machines.run(f'python3 -c "{many}"; exit 0', cache, *_SMALL, f"--disk={4 << 30}")
    assert "more than 100000 files" in said.refused


@full
def test_a_log_without_end_and_with_escapes_passes_line_by_line(cache: Path) -> None:
    said = machines.run(r"printf '\033[2J\n'; yes long | head -c 20000000; exit 7", cache, *_SMALL)
    assert said.end["status"] == 7
    assert said.lines.count("long") == 4_000_000 and "\x1b[2J" in said.lines


class _Listener:
    def __init__(self, word: str = "") -> None:
        self.word, self.heard = word, threading.Event()
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)
        if text == self.word:
            self.heard.set()

    def sample(self, *used: float) -> None:
        """Not asked for here."""

    def file(self, name: str, size: int, mode: int) -> None:
        """Not asked for here."""

    def data(self, offset: int, content: bytes) -> None:
        """Not asked for here."""


def test_a_cancel_ends_it_within_a_moment(cache: Path) -> None:
    listener, stop = _Listener("there"), threading.Event()
    executor = vm({"shell": ("/bin/sh", "-c", "echo there; sleep 600")}, VmSettings(accelerator="tcg"))
    outcomes: list[Outcome] = []
    task = Task("shell", (), {}, cache, limits=Limits(processes=100))

    def build() -> None:
        with executor.run(task, listener, stop) as outcome:
            outcomes.append(outcome)

    thread = threading.Thread(target=build)
    thread.start()
    assert listener.heard.wait(200), listener.lines
    stop.set()
    thread.join(20)
    assert [each.stopped_by for each in outcomes] == ["cancel"]


def in_the_middle(cache: Path) -> subprocess.Popen[bytes]:
    """A launcher whose machine works."""
    process = subprocess.Popen(
        [
            *machines.start(), "--tool=shell", f"--cache={cache}", "--accelerator=tcg",
            "--command=/bin/sh", "--command=-c", "--command=echo there; sleep 600",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout
    process.stdin.write(len(b"{}").to_bytes(4, "big") + b"{}")
    process.stdin.flush()
    seen = b""
    while b"there" not in seen:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        assert piece, seen
        seen += piece
    return process


def qemu() -> int:
    """The process of the only machine that there is."""
    (found,) = [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdecimal() and b"guest=imager-" in (each / "cmdline").read_bytes()
    ]
    return found


def test_a_launcher_that_is_killed_leaves_nothing(cache: Path) -> None:
    process = in_the_middle(cache)
    process.kill()
    process.communicate()
    end = time.monotonic() + 15
    while machines.left() and time.monotonic() < end:
        time.sleep(0.1)
    assert machines.left() == []


@full
def test_a_qemu_that_is_killed_is_a_sentence(cache: Path) -> None:
    process = in_the_middle(cache)
    os.kill(qemu(), signal.SIGKILL)
    assert process.stdout
    out = process.stdout.read()
    process.communicate()
    refused = json.loads(out[out.index(b"{") :])
    assert "QEMU was ended" in refused["message"]


@full
def test_a_kernel_that_says_nothing_is_given_up_and_remembered(cache: Path, tmp_path: Path) -> None:
    """Where kvm hangs or fails, as in a guest that is itself paravirtualised; elsewhere it is remembered to work."""
    said = machines.run("echo there", tmp_path, "--accelerator=auto", *_SMALL)
    assert said.lines[-1] == "there"
    verdict = accelerators.Memory(tmp_path, initramfs.find_kernel()).verdict()
    assert bool(verdict) == os.access("/dev/kvm", 6)
    assert ("a virtual machine with tcg" in said.text) == (verdict != accelerators.WORKS)
