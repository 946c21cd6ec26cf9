# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds in virtual machines of base images: another system's root, tools and nothing else, thrown away each time."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore.executor.vm import bases
from tests.support import example, machines
from tests.support.img import EPOCH, Done, Home, at_once
from tests.support.sandboxes import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.vm]
full = pytest.mark.full

_EXAMPLE = REPOSITORY / "examples/tiny/tiny.ks"
#: What the built-in tool and the stand-in of mic take.
_PACKAGES = ("python3-dnf", "python3-rpm", "fdisk", "dosfstools", "mtools", "xz-utils", "zstd", "bzip2", "e2fsprogs")
#: A tool of the base image that is root in its machine, and as hostile as it can be.
_HOSTILE = (
    "b=/imager/busybox",
    'echo "system: $($b head -n 1 /etc/os-release)"',
    'echo "shared: $($b ls -A /imager/host) $($b touch /imager/host/usr/x 2>&1)"',
    'echo "host: $($b ls /usr/bin/dnf /etc/skynet /etc/ssh /root/.ssh 2>&1 | $b grep -c "No such file")"',
    "printf 'FOREIGN it runs' >/run/imager/build/program",
    "$b chmod +x /run/imager/build/program",
    'echo "foreign: $(/run/imager/build/program)"',
    "$b mount -o remount,rw /",
    "echo owned >/etc/owned",
    'echo "written: $($b cat /etc/owned)"',
    '$b dd if=/dev/zero of=/dev/vdb bs=1M count=8 conv=fsync 2>/dev/null && echo "disk: spoilt"',
    "echo image >/run/imager/out/hostile-sda.raw",
    "echo Finished.",
)
#: As qemu-user's packages say which programs they run; here those that begin with FOREIGN, by showing them.
_FOREIGN = """
%post
mkdir -p /usr/lib/binfmt.d
echo ':test:M::FOREIGN::/bin/cat:F' >/usr/lib/binfmt.d/qemu-test.conf
echo 'what nobody understands' >/usr/lib/binfmt.d/qemu-bad.conf
echo ':neither this' >>/usr/lib/binfmt.d/qemu-bad.conf
%end
"""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert machines.left() == []


def home_in(path: Path, **tools: str) -> Home:
    home = Home(path)
    commands = "".join(f"[tool {name}]\ncommand = {command}\n" for name, command in tools.items())
    standard = home.path / ".config/imager/imager.conf"
    standard.parent.mkdir(parents=True)
    standard.write_text(f"[vm]\naccelerator = tcg\n{commands}")
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the base image `tiny`, which is the example."""
    place = tmp_path_factory.mktemp("bases")
    made = home_in(place / "home", hostile=f"/imager/busybox sh -c {shlex.quote('; '.join(_HOSTILE))}")
    text = _EXAMPLE.read_text().replace("@REPO@", example.repository()) + _FOREIGN
    tokens = "--tokenmap=RELEASE:2.0,GREETING:x"
    done = made.img("vm", "make-base", "tiny", made.kickstart(text, "tiny.ks"), tokens, "--json")
    assert done.code == 0, done.err
    assert done.record["found"]["os"] == "Tiny, Imager's example"
    return made


def base(home: Home, name: str) -> bases.Base:
    return bases.read(home.data / "bases", name)


def log(home: Home, done: Done) -> str:
    return (home.spool / "jobs" / done.record["image_id"] / "build.log").read_text()


def test_a_tool_of_the_base_image_finds_its_own_system_and_spoils_only_the_machine(home: Home) -> None:
    kickstart = home.kickstart("part / --size 100\n", "hostile.ks")
    done = home.img("build", kickstart, "--type=raw", "--vm-base=tiny", "--tool=hostile", "--json")
    assert done.code == 0, done.err
    said = dict(re.findall(r"\b(system|shared|host|written|disk|foreign): (.*)", log(home, done)))
    assert "tiny" in said["system"]
    assert said["shared"].startswith("usr ") and "Read-only file system" in said["shared"]
    assert said["host"] == "4"
    assert said["foreign"] == "FOREIGN it runs"
    assert (said["written"], said["disk"]) == ("owned", "spoilt")
    assert bases.digest(base(home, "tiny").file) == base(home, "tiny").sha256


def test_one_that_is_not_as_it_was_made_is_found_and_made_anew(home: Home) -> None:
    shutil.copytree(home.data / "bases", home.path / "kept")
    try:
        with base(home, "tiny").file.open("r+b") as file:
            file.seek(1 << 20)
            file.write(b"x" * 100)
        done = home.img("vm", "check", "--json")
        assert done.code == 1 and "is not as it was made" in json.loads(done.out)[0]["error"]
        done = home.img("vm", "update", "tiny", "--json")
        assert done.code == 0, done.err
        assert bases.digest(base(home, "tiny").file) == done.record["sha256"]
    finally:
        shutil.rmtree(home.data / "bases")
        (home.path / "kept").rename(home.data / "bases")


def test_a_kickstart_that_cannot_be_built_leaves_the_base_image_as_it_was(home: Home) -> None:
    before = base(home, "tiny")
    repository = f"repo --name=tiny --baseurl=file://{example.repository()}"
    kickstart = home.kickstart(f"part / --size 100\n{repository}\n%packages\nnosuch\n%end\n", "bad.ks")
    done = home.img("vm", "make-base", "bad", kickstart)
    assert done.code == 1 and done.err.splitlines()[-1].startswith("img: bad-")
    assert home.img("vm", "make-base", "tiny", kickstart).code == 2
    assert [each["name"] for each in json.loads(home.img("vm", "list", "--json").out)] == ["tiny"]
    assert base(home, "tiny") == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("build", _EXAMPLE, "--vm-base=none"), "there is no base image none"),
        (("build", _EXAMPLE, "--vm-base=../tiny"), "is not a base"),
        (("build", _EXAMPLE, "--vm-base=tiny", "--executor=direct"), "--vm-base is for the executor vm"),
        (("vm", "shell", "--base=none"), "there is no base image none"),
        (("vm", "check", "none"), "there is no base image none"),
        (("vm", "update", "none"), "there is no base image none"),
        (("vm", "remove", "none"), "there is no base image none"),
        (("vm", "import", "other", "/nonexistent"), "cannot be imported: No such file"),
        (("vm", "import", "other", _EXAMPLE), "tiny.ks: this is no disk image"),
        (("vm", "import", "tiny", "/nonexistent"), "there is a base image tiny already"),
        (("vm", "make-base", "other"), "a base image is made of a kickstart or by --debootstrap"),
        (("vm", "make-base", "other", "/nonexistent.ks"), "is not there"),
        (("vm", "make-base", "other", _EXAMPLE, "--mirror=http://x/"), "--mirror is for --debootstrap"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_anything_happens(
    home: Home, words: tuple[str | Path, ...], sentence: str
) -> None:
    jobs = len(home.records())
    done = home.img(*words)
    assert done.code == 2 and sentence in done.err.splitlines()[-1]
    assert "Traceback" not in done.err and len(home.records()) == jobs
    assert bases.known(home.data / "bases") == ["tiny"]


def test_a_shell_opens_in_a_machine_of_it(home: Home) -> None:
    process, terminal = pty.fork()
    if process == 0:
        words = home.command("vm", "shell", "--base", "tiny")
        os.execve(words[0], [*map(str, words)], home.environment({"TERM": "dumb"}))
    said, typed, end = "", False, time.monotonic() + 200
    while time.monotonic() < end:
        try:
            said += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:
            break
        # Busybox's shell asks the terminal then where its cursor is.
        if not typed and re.search(r"# (\x1b\[6n)?$", said):
            os.write(terminal, b"/imager/busybox cat /etc/os-release; exit\r")
            typed = True
    else:
        os.kill(process, signal.SIGKILL)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert "Tiny, Imager's example" in said


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the base image `debian` by debootstrap, with what the built-in tool needs, and `mic`, imported."""
    place = tmp_path_factory.mktemp("debian")
    made = home_in(place / "home", mic="mic")
    example.repository()
    packages = [f"--package={each}" for each in _PACKAGES]
    done = subprocess.run(
        made.command("vm", "make-base", "debian", "--debootstrap=bookworm", *packages, "--json"),
        env=made.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"]["builtin"] == ""
    disk = place / "mic.img"
    shutil.copyfile(base(made, "debian").file, disk)
    stand_in = REPOSITORY / "tests/support/mic_standin.py"
    subprocess.run(["debugfs", "-w", "-R", f"write {stand_in} /usr/bin/mic", disk], check=True, capture_output=True)
    subprocess.run(["debugfs", "-w", "-R", "sif /usr/bin/mic mode 0100755", disk], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, place / "mic.qcow2"], check=True)
    imported = made.img("vm", "import", "mic", place / "mic.qcow2", "--json")
    assert imported.code == 0, imported.err
    assert imported.record["found"]["programs"].count("mic") == 1
    return made


def record(home: Home, *words: str | Path) -> dict[str, Any]:
    done = home.img("build", *words, "--json", environment={"SOURCE_DATE_EPOCH": EPOCH})
    assert done.code == 0, done.err
    return done.record


@full
def test_the_built_in_tool_of_a_debian_makes_the_bytes_that_the_hosts_makes(debian: Home) -> None:
    inside, outside = (
        record(debian, _EXAMPLE, "--type=loop", *words) for words in (["--vm-base=debian"], ["--executor=direct"])
    )
    digests = [{each["name"]: each["sha256"] for each in made["artifacts"] if each["kind"] == "image"}
               for made in (inside, outside)]  # fmt: skip
    assert digests[0] == digests[1] and digests[0]


@full
def test_two_builds_by_the_mic_of_a_base_image_run_at_once_and_leave_it_as_it_was(debian: Home) -> None:
    before = base(debian, "mic")
    kickstarts = [debian.kickstart("part / --size 100\n# fail: stray\n", f"{name}.ks") for name in ("one", "two")]
    made = at_once(
        lambda each: record(debian, each, "--type=raw", "--vm-base=mic", "--tool=mic"), kickstarts, workers=2
    )
    assert [each["tool"] for each in made] == ["mic", "mic"]
    assert bases.digest(before.file) == before.sha256 and base(debian, "mic") == before


@full
def test_a_base_image_may_be_removed_under_a_build(debian: Home, tmp_path: Path) -> None:
    other = home_in(tmp_path / "home", mic="mic")
    shutil.copytree(debian.data / "bases", other.data / "bases")
    kickstart = other.kickstart("part / --size 100\n# fail: hang\n", "hang.ks")
    words = other.command("build", kickstart, "--type=raw", "--vm-base=mic", "--tool=mic", "-v")
    with subprocess.Popen(words, env=other.environment(), stderr=subprocess.PIPE, text=True) as building:
        assert building.stderr
        for line in building.stderr:
            if "Retrieving" in line:
                break
        assert other.img("vm", "remove", "mic").code == 0
        assert not list((other.data / "bases").glob("mic-*"))
        assert building.poll() is None
        building.send_signal(signal.SIGINT)
        building.stderr.read()
    assert building.returncode == 130
