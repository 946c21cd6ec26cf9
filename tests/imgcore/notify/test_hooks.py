# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/hooks.py and supervise.py with real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from imgcore.notify.channel import NotDelivered
from imgcore.notify.hooks import Hooks
from imgcore.spool import Spool
from tests.support.letters import another, hook, letter


def run(spool: Spool, directory: Path, seconds: float = 20.0) -> list[str]:
    said: list[str] = []
    Hooks(directory, seconds).deliver(letter(spool, "hook", "one", emails=("a@b",)), said.append)
    return said


def refused(spool: Spool, directory: Path, seconds: float = 20.0) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        run(spool, directory, seconds)
    return caught.value


def gone(pid: int) -> bool:
    """Whether the process has ended, or does so within a moment."""
    end = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_hook_gets_the_record_and_an_environment_that_is_not_ours(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "hunter2")
    directory = tmp_path / "hooks"
    hook(
        directory, f"cat > {tmp_path}/record; env > {tmp_path}/env; pwd > {tmp_path}/pwd; echo $# said; echo bad >&2"
    )
    assert run(spool, directory) == ["one says:\n  0 said\n  bad"]
    record = json.loads((tmp_path / "record").read_bytes())
    assert (record["image_id"], record["status"], record["emails"]) == ("tiny-1", "DONE", ["a@b"])
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name for name in environment if name not in ("PWD", "SHLVL", "_", "OLDPWD")} == {
        "PATH", "LANG", "HOME", "IMAGER_JOB", "IMAGER_STATUS",
    }  # fmt: skip
    assert (environment["IMAGER_JOB"], environment["IMAGER_STATUS"]) == ("tiny-1", "DONE")
    assert (tmp_path / "pwd").read_text() == "/\n"


def test_hooks_are_the_programs_that_run_parts_would_take(tmp_path: Path) -> None:
    directory = tmp_path / "hooks"
    for name in ("b", "10-a", "a.sh", "c~", ".d", "e.dpkg-old"):
        hook(directory, "exit 0", name)
    hook(directory, "exit 0", "plain", 0o644)
    (directory / "directory").mkdir()
    assert list(Hooks(directory, 1).whom({})) == ["10-a", "b"]
    assert list(Hooks(tmp_path / "gone", 1).whom({})) == []


@pytest.mark.parametrize(("status", "final"), [(1, True), (75, False), (127, True)])
def test_a_hook_that_fails_is_not_run_again_unless_it_asks_for_that(
    spool: Spool, tmp_path: Path, status: int, final: bool
) -> None:
    hook(tmp_path / "hooks", f"exit {status}")
    error = refused(spool, tmp_path / "hooks")
    assert (str(error), error.final) == (f"it ended with status {status}", final)


def test_a_hook_that_hangs_is_ended_with_all_that_it_started_wherever_that_went(spool: Spool, tmp_path: Path) -> None:
    hook(
        tmp_path / "hooks",
        f"trap '' TERM\nsetsid sleep 300 & echo $! > {tmp_path}/a\n"
        f"(setsid sh -c 'sleep 300 & echo $! > {tmp_path}/b'; exit) &\nwait\nsleep 300",
    )
    began = time.monotonic()
    error = refused(spool, tmp_path / "hooks", 1)
    assert (str(error), error.final) == ("it was ended after 1 s", True)
    assert time.monotonic() - began < 12
    pids = [int((tmp_path / name).read_text()) for name in ("a", "b")]
    assert [gone(pid) for pid in pids] == [True, True]


def test_what_a_hook_leaves_behind_ends_with_it(spool: Spool, tmp_path: Path) -> None:
    hook(tmp_path / "hooks", f"setsid sleep 300 & echo $! > {tmp_path}/a")
    assert run(spool, tmp_path / "hooks") == []
    assert gone(int((tmp_path / "a").read_text()))


def test_a_hook_that_floods_or_does_not_read_is_heard_to_its_end_and_cut(spool: Spool, tmp_path: Path) -> None:
    hook(tmp_path / "hooks", "head -c 20000000 /dev/zero | tr '\\0' x\nexit 3")
    said: list[str] = []
    with pytest.raises(NotDelivered, match="status 3"):
        Hooks(tmp_path / "hooks", 60).deliver(letter(spool, "hook", "one"), said.append)
    kept = 16 << 10
    assert said == [f"one says:\n  {'x' * kept}\n  [{20000000 - kept} bytes more]"]


def test_a_hook_that_others_could_have_written_is_not_run(spool: Spool, tmp_path: Path) -> None:
    directory = tmp_path / "hooks"
    path = hook(directory, f"touch {tmp_path}/ran", mode=0o777)
    assert "can write" in str(refused(spool, directory))
    path.chmod(0o755)
    directory.chmod(0o777)
    sent = another(spool, "hook", "one")
    for mode in (0o777, 0o775, 0o757):
        directory.chmod(mode)
        with pytest.raises(NotDelivered, match="can write"):
            Hooks(directory, 20).deliver(sent, print)
    directory.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        with pytest.raises(NotDelivered, match="can write"):
            Hooks(directory, 20).deliver(sent, print)
        os.chown(path, 0, -1)
    assert not (tmp_path / "ran").exists()
    Hooks(directory, 20).deliver(sent, print)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("whom", ["../one", "a/b", "", ".", "one\n"])
def test_a_name_that_leads_elsewhere_is_no_hook(spool: Spool, tmp_path: Path, whom: str) -> None:
    hook(tmp_path, f"touch {tmp_path}/ran")
    hook(tmp_path / "hooks", "exit 0")
    with pytest.raises(NotDelivered, match="no name"):
        Hooks(tmp_path / "hooks", 20).deliver(letter(spool, "hook", whom), print)
    assert not (tmp_path / "ran").exists()


def test_a_hook_that_is_gone_or_no_program_is_given_up(spool: Spool, tmp_path: Path) -> None:
    path = hook(tmp_path / "hooks", "")
    path.write_text("#!/no/such/interpreter\n")
    error = refused(spool, tmp_path / "hooks")
    assert "cannot be run: No such file" in str(error)
    path.unlink()
    with pytest.raises(NotDelivered, match="cannot be run") as caught:
        Hooks(tmp_path / "hooks", 1).deliver(another(spool, "hook", "one"), print)
    assert caught.value.final


def test_a_hook_ends_with_who_delivers(tmp_path: Path) -> None:
    hook(
        tmp_path / "hooks",
        f"setsid sleep 300 & echo $! > {tmp_path}/a.new; mv {tmp_path}/a.new {tmp_path}/a\nsleep 300",
    )
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from imgcore.notify.hooks import Hooks\nfrom imgcore.notify.outbox import Letter\n"
        "Hooks(Path(sys.argv[1]), 300).deliver(Letter('i', 3, 'hook', 'one', {'status': 'DONE'}), print)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "hooks"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as deliverer:
        end = time.monotonic() + 30
        while not (tmp_path / "a").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        started = [each.pid for each in psutil.Process(deliverer.pid).children(recursive=True)]
        deliverer.send_signal(signal.SIGKILL)
    assert started
    assert [pid for pid in [*started, int((tmp_path / "a").read_text())] if not gone(pid)] == []
