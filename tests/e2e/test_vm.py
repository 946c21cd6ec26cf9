# SPDX-License-Identifier: GPL-2.0-or-later
"""A build in a virtual machine is the build that it is elsewhere: command, progress, record and bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import pty
import re
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import example, machines, small
from tests.support.img import EPOCH, Done, Home
from tests.support.sandboxes import REPOSITORY
from tests.support.web import serve

pytestmark = [pytest.mark.real, pytest.mark.vm]
full = pytest.mark.full

_EXAMPLE = "examples/tiny/tiny.ks"


def build(home: Home, executor: str) -> Done:
    example.repository()
    words = ("build", _EXAMPLE, "--type", "raw", "--executor", executor, "--json")
    return home.img(*words, environment={"SOURCE_DATE_EPOCH": EPOCH}, directory=REPOSITORY)


def digests(done: Done) -> dict[str, str]:
    place = Path(done.record["directory"])
    names = [each["name"] for each in done.record["artifacts"] if each["kind"] != "log"]
    return {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return build(Home(tmp_path_factory.mktemp("vm") / "home"), "vm")


def test_the_example_builds_with_no_further_preparation(built: Done) -> None:
    assert built.code == 0, built.err
    assert (built.record["status"], built.record["executor"]) == ("DONE", "vm")


def test_its_start_is_shown_as_a_phase_of_the_build(built: Done) -> None:
    assert [each["phase"] for each in built.record["phases"]][:3] == ["prepare", "boot", "scripts"]


def test_every_artifact_has_the_bytes_that_a_direct_build_gives(built: Done, home: Home) -> None:
    assert digests(built) == digests(build(home, "direct"))


def test_what_it_used_is_recorded(built: Done) -> None:
    used = built.record["resources"]
    assert used["cpu_seconds"] > 1 and used["peak_memory_bytes"] > 10 << 20


def test_it_reaches_its_repositories_through_the_proxy_and_nothing_else(home: Home, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not for a build\n")
    with serve(Path(example.repository())) as repository, serve(tmp_path) as other:
        text = (REPOSITORY / _EXAMPLE).read_text().replace("file://@REPO@", repository.url)
        asks = "\n".join(
            [
                "from urllib.request import ProxyHandler, build_opener",
                "for way in ({}, {'http': 'http://127.0.0.1:3128'}):",
                f"    try: print(build_opener(ProxyHandler(way)).open('{other.url}/secret', timeout=20).read())",
                "    except OSError as error: print('asked:', error)",
            ]
        )
        text += f'%pre\npython3 -c "{asks}"\n%end\n'
        done = home.img(
            "build",
            home.kickstart(text, "web.ks"),
            "--type=fs",
            "--executor=vm",
            "--tokenmap=RELEASE:1,GREETING:x",
            "--json",
        )
    assert done.code == 0, done.err
    log = (home.spool / "jobs" / done.record["image_id"] / "build.log").read_text()
    assert "not for a build" not in log
    assert "asked: <urlopen error [Errno 111] Connection refused>" in log
    assert "asked: HTTP Error 403: Forbidden" in log
    assert other.requests == [] and repository.count("repomd.xml") == 1


def test_a_shell_opens_in_such_a_machine_and_is_gone_with_it(home: Home) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(REPOSITORY)
        os.execve(home.command()[0], [*map(str, home.command("vm", "shell"))], home.environment({"TERM": "dumb"}))
    said, typed, end = "", False, time.monotonic() + 300
    while time.monotonic() < end:
        try:
            said += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:
            break
        if not typed and re.search(r"# $", said):
            os.write(terminal, b"grep /usr /proc/mounts; cat /proc/1/comm; exit\r")
            typed = True
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert " /usr 9p ro," in said and "python3" in said
    assert machines.left() == []


@pytest.mark.parametrize(
    ("arch", "bits", "machine"), [("aarch64", 64, 183), pytest.param("armv7hl", 32, 40, marks=full)]
)
def test_a_script_of_another_architecture_is_a_sentence_where_no_qemu_user_is(
    home: Home, repository: Path, arch: str, bits: int, machine: int
) -> None:
    # The head of such a program stands for the image's shell.
    done = built_with(home, repository, arch, program(bits, machine, b""))
    assert done.code == 1
    assert f"a program for {arch}, which this machine cannot run (install qemu-user-static" in done.err


def test_scripts_for_i586_run_as_they_do_on_such_a_machine(home: Home, repository: Path) -> None:
    # write(1, "of 32 bits\n", 11) and exit(0)
    said = b"of 32 bits\n"
    code = b"\xb8\x04\0\0\0\xbb\x01\0\0\0\xb9\x73\x80\x04\x08\xba\x0b\0\0\0\xcd\x80\x31\xdb\xb8\x01\0\0\0\xcd\x80"
    done = built_with(home, repository, "i586", program(32, 3, code + said), "-v")
    assert done.code == 0, done.err
    assert "of 32 bits" in done.err


def program(bits: int, machine: int, code: bytes) -> bytes:
    """A program (ELF) for the architecture with the number `machine`, that begins at 0x8048054 and is static."""
    kind = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HHI", 2, machine, 1)
    if bits == 64:
        return kind + bytes(44)
    size = 84 + len(code)
    head = struct.pack("<IIIIHHHHHH", 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return kind + head + struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0x8048000, size, size, 5, 0x1000) + code


def built_with(home: Home, repository: Path, arch: str, shell: bytes, *words: str) -> Done:
    """A build for another architecture, with a script whose interpreter is `shell`."""
    file = "$INSTALL_ROOT/foreign"
    make = f"%post --nochroot\necho {base64.b64encode(shell).decode()} | base64 -d >{file}\nchmod 755 {file}\n%end\n"
    text = small.kickstart(repository, tail=f"{make}%post --erroronfail --interpreter=/foreign\necho there\n%end\n")
    return home.img("build", home.kickstart(text), "--type=fs", f"--arch={arch}", "--executor=vm", *words)


def test_without_qemu_the_doctor_says_what_to_install(home: Home) -> None:
    done = subprocess.run(
        home.command("doctor", "--executor=vm"), env=home.environment({"PATH": "/nonexistent"}), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    line = next(each for each in done.stdout.splitlines() if "executor vm" in each)
    assert line.startswith("MISSING") and "qemu-system-x86" in line and done.returncode == 1
