# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.plan import Script
from imgcore.creator.tree import Tree
from tests.imgcore.creator.packages.test_packages import failure, plan
from tests.support.creator import Run, create

pytestmark = pytest.mark.real


def run_scripts(top: Path, repository: Path, *scripts: Script, tokens: dict[str, str] | None = None) -> Run:
    base = plan(repository, "app")
    return create(
        top, replace(base, scripts=scripts, tokens=tokens or {}, release="1.2", build_id="b7", kickstart="image.ks")
    )


def said(run: Run, name: str) -> str:
    """The value of a variable in the output of `env`."""
    return next(line.partition("=")[2] for line in run.lines if line.strip().startswith(f"{name}="))


def test_a_post_script_runs_in_the_image_and_sees_nothing_of_the_builder(tmp_path: Path, repository: Path) -> None:
    script = Script("post", "env\nreadlink /proc/self/exe\nls /\necho changed > /etc/changed\n", line=40)
    run = run_scripts(tmp_path, repository, script, tokens={"TARGET": "n950", "PATH": "/evil", "bad-name": "x"})
    assert run.status == 0, run.log
    assert run.text("/etc/changed") == "changed\n"
    assert "  /bin/busybox" in run.lines
    names = {line.strip().partition("=")[0] for line in run.lines if line.startswith("  ") and "=" in line}
    assert names == {
        *("HOME", "PATH", "LANG", "PWD", "SHLVL", "SOURCE_DATE_EPOCH"),
        *("IMG_NAME", "RELEASE", "BUILD_ID", "arch", "TARGET"),
    }
    assert [said(run, name) for name in ("IMG_NAME", "RELEASE", "BUILD_ID", "arch", "TARGET", "HOME")] == [
        *("img", "1.2", "b7", "x86_64", "n950", "/root"),
    ]
    assert said(run, "PATH").startswith("/usr/local/sbin:")
    assert str(tmp_path) not in run.log
    assert list(run.tree.glob("tmp/*")) == []


def test_a_script_outside_gets_the_root_and_the_directory_of_the_output(tmp_path: Path, repository: Path) -> None:
    script = Script("post", 'env; cat "$INSTALL_ROOT/etc/app.made"; echo x > "$IMG_OUT_DIR/extra.txt"',
                    chroot=False, line=40)  # fmt: skip
    run = run_scripts(tmp_path, repository, script)
    assert run.status == 0, run.log
    assert said(run, "INSTALL_ROOT") == str(run.place.root)
    assert said(run, "IMG_OUT_DIR") == str(run.place.out)
    assert "  made" in run.lines
    assert {"name": "extra.txt", "kind": "file"} in run.result["artifacts"]


def test_scripts_run_in_their_order_pre_before_packages_and_pack_after_the_image(
    tmp_path: Path, repository: Path
) -> None:
    scripts = (
        Script("pack", "echo run-pack; ls", line=50),
        Script("post", "echo run-post-1; ls /usr/share/app", line=51),
        Script("pre", "echo run-pre; ls $INSTALL_ROOT", line=52),
        Script("post", "echo run-post-2", line=53, chroot=False),
    )
    run = run_scripts(tmp_path, repository, *scripts)
    assert run.status == 0, run.log
    order = [
        line.strip() for line in run.lines if line.startswith(("  run-", "[imager install 0/", "[imager image 0/"))
    ]
    kept = [
        line
        for number, line in enumerate(order)
        if not line.startswith("[imager") or order[number - 1][:12] != line[:12]
    ]
    assert [line.split("]")[0].split()[-2 if "imager" in line else -1] for line in kept] == [
        *("run-pre", "install", "run-post-1", "run-post-2", "image", "run-pack"),
    ]
    assert "  img.tar.gz" in run.lines[run.lines.index("  run-pack") :]


@pytest.mark.parametrize(
    ("chroot", "interpreter", "body", "line", "words"),
    [
        (True, "/bin/sh", "echo one\nno-such-command --x\n", 42, "no-such-command: not found"),
        (False, "/bin/sh", "echo one\n\nno-such-command\n", 43, "no-such-command: not found"),
        (False, "/bin/bash", "set -e\nno-such-command\n", 42, "no-such-command: command not found"),
        (False, "/usr/bin/python3", "x = 1\n\n\nraise ValueError('no good')\n", 44, "ValueError: no good"),
    ],
    ids=["busybox", "dash", "bash", "python"],
)
def test_a_script_that_fails_is_told_with_its_line_in_the_kickstart(
    tmp_path: Path, repository: Path, chroot: bool, interpreter: str, body: str, line: int, words: str
) -> None:
    script = Script("post", body, chroot=chroot, interpreter=interpreter, line=40, error_on_fail=True)
    cause, text = failure(run_scripts(tmp_path, repository, script))
    assert cause == "script-failed"
    title = "the %post script" if chroot else "the %post script (--nochroot)"
    assert text.startswith(f"image.ks, line 40: {title} failed with exit status ")
    assert f"at line {line} of the kickstart: {words}" in text


def test_a_script_that_fails_silently_is_told_with_its_status(tmp_path: Path, repository: Path) -> None:
    script = Script("pre", "echo last words; exit 7", line=8, error_on_fail=True)
    cause, text = failure(run_scripts(tmp_path, repository, script))
    assert cause == "script-failed"
    assert text.startswith("image.ks, line 8: the %pre script failed with exit status 7: last words")


def test_a_script_that_is_killed_is_told_with_the_signal(tmp_path: Path, repository: Path) -> None:
    script = Script("post", "kill -9 $$", line=8, error_on_fail=True)
    assert "failed with signal 9" in failure(run_scripts(tmp_path, repository, script))[1]


def test_without_erroronfail_a_failure_is_a_warning_and_the_build_goes_on(tmp_path: Path, repository: Path) -> None:
    scripts = (Script("post", "exit 1", line=40), Script("post", "echo still here", line=44))
    run = run_scripts(tmp_path, repository, *scripts)
    assert run.status == 0, run.log
    assert run.warnings == ["image.ks, line 40: the %post script failed with exit status 1: it said nothing"]
    assert "  still here" in run.lines


def test_an_interpreter_that_is_not_in_the_image_is_told(tmp_path: Path, repository: Path) -> None:
    script = Script("post", "print(1)", interpreter="/usr/bin/python3", line=40, error_on_fail=True)
    cause, text = failure(run_scripts(tmp_path, repository, script))
    assert cause == "script-failed"
    assert text.startswith("image.ks, line 40: the %post script cannot be run: /usr/bin/python3 is not in the image")


def test_an_interpreter_for_another_machine_is_told(tmp_path: Path, repository: Path) -> None:
    script = Script("post", "x", interpreter="/usr/bin/foreign", line=40, error_on_fail=True)
    cause, text = failure(create(tmp_path, replace(plan(repository, "foreign", arch="aarch64"), scripts=(script,))))
    assert cause == "unsupported"
    assert "it is a program for aarch64, which this machine cannot run" in text


def test_an_interpreter_may_have_arguments(tmp_path: Path, repository: Path) -> None:
    run = run_scripts(tmp_path, repository, Script("post", "false\necho on", interpreter="/bin/sh -e", line=40))
    assert "  on" not in run.lines
    assert len(run.warnings) == 1


def test_the_log_of_a_script_is_in_the_image_or_delivered(tmp_path: Path, repository: Path) -> None:
    scripts = (
        Script("post", "echo inside", line=40, log="/root/post.log"),
        Script("pre", "echo outside", line=44, log="/var/log/pre.log"),
    )
    run = run_scripts(tmp_path, repository, *scripts)
    assert run.status == 0, run.log
    assert run.text("/root/post.log") == "inside\n"
    assert (run.place.out / "pre.log").read_text() == "outside\n"
    assert {"name": "pre.log", "kind": "file"} in run.result["artifacts"]


def test_a_daemon_that_a_script_leaves_ends_with_it_and_does_not_hold_the_build(
    tmp_path: Path, repository: Path
) -> None:
    scripts = (Script("post", "(sleep 250 & sleep 251 &) ; sleep 252 &\n", line=40), Script("post", "ps", line=44))
    began = time.monotonic()
    run = run_scripts(tmp_path, repository, *scripts)
    assert run.status == 0, run.log
    assert time.monotonic() - began < 60
    assert not [line for line in run.lines if " sleep 25" in line]


def test_a_section_that_the_creator_does_not_know_is_refused_before_any_work(
    tmp_path: Path, repository: Path
) -> None:
    cause, text = failure(run_scripts(tmp_path, repository, Script("traceback", "x", line=12)))
    assert cause == "unsupported"
    assert text.startswith("image.ks, line 12: the section %traceback cannot be carried out")


def test_a_link_in_the_image_does_not_lead_a_script_out_of_it(tmp_path: Path, repository: Path) -> None:
    trap = Script("post", f"rm -rf /tmp; mkdir -p /real; ln -s /real /tmp; ln -s {tmp_path} /trap", line=40)
    log = Script("post", "echo x", line=44, log="/trap/log")
    run = run_scripts(tmp_path, repository, trap, log)
    assert run.status == 0, run.log
    assert not (tmp_path / "log").exists()
    assert Tree(run.tree).read(f"{tmp_path}/log") == "x\n"
