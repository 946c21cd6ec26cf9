# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/sandbox.py and what it is made of, with real namespaces."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.executor import frames
from tests.support import sandboxes
from tests.support.machine import nothing_left
from tests.support.sandboxes import Said, shell

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with sandboxes.open_to_all() as opened:
        (opened / "cache").mkdir()
        (opened / "cache").chmod(0o777)
        yield opened


@pytest.fixture(params=["us", "stranger"])
def script(request: pytest.FixtureRequest, place: Path):  # type: ignore[no-untyped-def]
    """Runs a shell script in a sandbox: as whoever runs the tests, and as an ordinary user."""

    def run(text: str, *options: str, **more: dict[str, bytes]) -> Said:
        command = sandboxes.start(shell(text), place)
        if request.param == "us":
            return sandboxes.run(sandboxes.direct(command), place / "cache", *options, **more)
        if sandboxes.can_be_direct():
            return sandboxes.run(sandboxes.as_stranger(command), place / "cache", *options, **more)
        # A kernel that refuses: the stranger must be told, and what is tested here is true of nothing that ran.
        said = sandboxes.run(sandboxes.as_stranger(command), place / "cache", *options, **more)
        assert "does not allow user namespaces" in said.refused
        return sandboxes.run(sandboxes.as_root(command), place / "cache", *options, **more)

    return run


def test_the_output_comes_line_by_line_and_the_status_at_the_end(script) -> None:  # type: ignore[no-untyped-def]
    said = script("echo one; echo two >&2; printf three; exit 7")
    assert said.lines == ["one", "two", "three"]
    assert said.end["status"] == 7


def test_the_tool_is_root_there_and_nobody_here(script) -> None:  # type: ignore[no-untyped-def]
    said = script("id -u; cat /etc/shadow; echo end")
    assert said.lines[0] == "0"
    assert "Permission denied" in said.lines[1]
    assert said.lines[2:] == ["end"]


def test_the_machine_can_be_read_and_not_written(script) -> None:  # type: ignore[no-untyped-def]
    said = script(
        "touch /x /usr/x /etc/x /root/x; mount -o remount,bind,rw /; mount -o remount,rw /; touch /y; echo end"
    )
    assert said.lines[-1] == "end"
    assert "Read-only" in said.text
    assert not any(Path(each).exists() for each in ("/x", "/y", "/usr/x", "/etc/x"))


def test_no_disk_or_other_device_is_in_reach(script) -> None:  # type: ignore[no-untyped-def]
    said = script("find /dev -type b -o -name 'loop*' -o -name kvm; mknod /run/imager/tmp/disk b 8 0; ls /dev/null")
    assert "/dev/vda" not in said.text and "/dev/sda" not in said.text and "/dev/loop" not in said.text
    assert "not permitted" in said.text


def test_no_process_of_the_machine_is_seen(script) -> None:  # type: ignore[no-untyped-def]
    said = script("ls -d /proc/[0-9]* | wc -l; kill -9 1; echo alive")
    assert int(said.lines[0]) < 8
    assert said.lines[-1] == "alive"


def test_the_environment_is_given_and_not_inherited(script, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    said = script("env", "--epoch=1000")
    assert "SECRET_OF_MINE" not in said.text
    assert "SOURCE_DATE_EPOCH=1000" in said.lines
    assert "HOME=/run/imager/home" in said.lines


def test_standard_input_is_closed(script) -> None:  # type: ignore[no-untyped-def]
    assert script("read line || echo nothing").lines == ["nothing"]


def test_the_inputs_are_there_and_read_only(script) -> None:  # type: ignore[no-untyped-def]
    said = script("cat /run/imager/in/a; echo x > /run/imager/in/a", inputs={"a": b"content"})
    assert said.lines[0].startswith("content")
    assert "Read-only" in said.text


def test_regular_files_are_delivered_and_nothing_else(script) -> None:  # type: ignore[no-untyped-def]
    said = script(
        "cd /run/imager/out; echo yes > a; mkdir d; echo no > d/b; ln -s /etc/passwd link; mkfifo pipe; "
        "truncate -s 64M holes; printf x | dd of=holes bs=1 seek=33554432 conv=notrunc status=none"
    )
    assert set(said.files) == {"a", "d/b", "holes"}
    assert said.files["a"] == (4, {0: b"yes\n"})
    size, pieces = said.files["holes"]
    assert size == 64 << 20
    assert sum(map(len, pieces.values())) < 1 << 20
    assert any(33554432 - start < len(piece) and b"x" in piece for start, piece in pieces.items())


def test_a_failed_run_delivers_nothing(script) -> None:  # type: ignore[no-untyped-def]
    assert script("echo half > /run/imager/out/a; exit 1").files == {}


def test_scratch_is_limited(script) -> None:  # type: ignore[no-untyped-def]
    said = script("dd if=/dev/zero of=/run/imager/build/x bs=1M count=64 status=none", f"--disk={16 << 20}")
    assert "No space left on device" in said.text


def test_processes_are_limited(script) -> None:  # type: ignore[no-untyped-def]
    said = script("for i in $(seq 100); do sleep 5 & done; wait", "--processes=30")
    assert "fork" in said.text.lower()


def test_the_cache_is_shared_and_writable(script) -> None:  # type: ignore[no-untyped-def]
    script("echo kept > /run/imager/cache/file")
    assert script("cat /run/imager/cache/file").lines == ["kept"]


def test_another_tool_has_a_cache_of_its_own_beside_what_the_host_keeps_there(place: Path, tmp_path: Path) -> None:
    command = sandboxes.as_root(sandboxes.start("", place))
    words = ["--tool=other", "--command=/bin/sh", "--command=-c", "--command=echo kept > /run/imager/cache/file"]
    assert sandboxes.run(command, tmp_path, *words).end["status"] == 0
    assert [each.relative_to(tmp_path) for each in tmp_path.rglob("file")] == [Path("tool-other/file")]


def test_a_readable_directory_is_shown_read_only(script, place: Path) -> None:  # type: ignore[no-untyped-def]
    said = script("ls /run/imager/readable/0; touch /run/imager/readable/0/x", f"--readable={place}")
    assert "imgcore" in said.lines
    assert "Read-only" in said.text


def test_what_the_tool_leaves_running_ends_with_it(script) -> None:  # type: ignore[no-untyped-def]
    with nothing_left():
        said = script("setsid sleep 1000 & (trap '' TERM INT HUP; sleep 1000) & echo started")
    assert said.end["status"] == 0


@pytest.mark.parametrize("how", ["close", "kill the waiting process", "kill the first process"])
def test_nothing_is_left_when_the_sandbox_ends_early(place: Path, how: str) -> None:
    script = "trap '' TERM INT HUP; setsid sleep 1000 & mkdir /run/imager/tmp/x; echo ready; sleep 1000"
    command = sandboxes.direct(sandboxes.start(shell(script), place))
    with nothing_left():
        process = subprocess.Popen(
            [*command, "--tool=builtin", f"--cache={place / 'cache'}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin and process.stdout
        process.stdin.write(frames.pack_inputs({}))
        process.stdin.flush()
        for kind, content in frames.read(process.stdout):
            if kind == frames.LINES and content == b"ready":
                break
        if how == "kill the waiting process":
            _kill(process.pid, signal.SIGKILL)
        elif how == "kill the first process":
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            _kill(int(children[-1]), signal.SIGKILL)
        else:
            process.stdin.close()
        began = time.monotonic()
        process.stdout.read()
        process.wait()
    assert time.monotonic() - began < 9
    process.stdout.close()


def _kill(pid: int, number: int) -> None:
    if os.geteuid() == 0:
        os.kill(pid, number)
    else:
        subprocess.run(sandboxes.as_root(["kill", f"-{number}", str(pid)]), check=True)


def test_a_tool_that_needs_root_is_refused_to_a_user(place: Path) -> None:
    command = sandboxes.as_stranger(sandboxes.start("", place))
    said = sandboxes.run(command, place / "cache", "--tool=mic", "--command=mic")
    assert "mic needs root" in said.refused


def test_root_in_a_chroot_gets_a_sandbox_too(place: Path) -> None:
    # The kernel refuses user namespaces in a chroot; the chroot's directory becomes the root instead.
    command = sandboxes.start(shell("id -u; ls /proc/1/root/; echo out > /run/imager/out/a"), place)
    inner = (
        'mount --rbind / "$0" && mount --make-rslave "$0" && shift 0 && exec chroot "$0" "$@" --tool=builtin '
        f"--cache={place / 'cache'}"
    )
    top = place / "root"
    top.mkdir(exist_ok=True)
    process = subprocess.run(
        sandboxes.as_root(["unshare", "--mount", "sh", "-c", inner, str(top), *command]),
        input=frames.pack_inputs({}),
        stdout=subprocess.PIPE,
        check=False,
    )
    # Standard input ends at once, which stops the tool; a refusal would come before.
    assert b'"stopped": true' in process.stdout or b'"status": 0' in process.stdout, process.stdout


def test_scratch_can_be_on_disk_limited_and_gone_with_the_job(place: Path) -> None:
    script = (
        "stat -f -c %T /run/imager/build; dd if=/dev/zero of=/run/imager/build/x bs=1M count=64 status=none; "
        "rm /run/imager/build/x; echo out > /run/imager/out/a; ls /run"
    )
    command = sandboxes.as_root(sandboxes.start(shell(script), place))
    with nothing_left():
        said = sandboxes.run(command, place / "cache", "--scratch=disk", f"--disk={32 << 20}")
    assert said.lines[0] == "ext2/ext3"
    assert "No space left on device" in said.lines[1]
    assert said.lines[2:] == ["imager", "lock"]
    assert said.files["a"] == (4, {0: b"out\n"})


def test_scratch_on_disk_is_gone_when_the_sandbox_is_killed(place: Path) -> None:
    command = sandboxes.as_root(sandboxes.start(shell("echo ready; sleep 1000"), place))
    with nothing_left():
        process = subprocess.Popen(
            [*command, "--tool=builtin", f"--cache={place / 'cache'}", "--scratch=disk", f"--disk={32 << 20}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin and process.stdout
        process.stdin.write(frames.pack_inputs({}))
        process.stdin.flush()
        assert (frames.LINES, b"ready") in frames.read(process.stdout)
        _kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_user_cannot_have_scratch_on_disk(place: Path) -> None:
    command = sandboxes.as_stranger(sandboxes.start(shell("echo never"), place))
    said = sandboxes.run(command, place / "cache", "--scratch=disk", f"--disk={32 << 20}")
    assert "needs root" in said.refused and not said.lines
