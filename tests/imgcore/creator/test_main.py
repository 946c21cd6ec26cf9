# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.main import main, workplace_below
from imgcore.creator.plan import Attachment, Item, Password, Plan, Script, Services, System, User, UserGroup
from imgcore.errors import parse
from tests.imgcore.creator.packages.test_packages import failure, plan
from tests.support.creator import EPOCH, Run, create, listing

pytestmark = pytest.mark.real


def a_whole_plan(repository: Path) -> Plan:
    """A plan that uses every part that writes into the tree."""
    return replace(
        plan(repository, "app", "texts", "draws-identity"),
        system=System(
            lang=Item("en_US.UTF-8"),
            keyboard=Item("us"),
            timezone=Item("UTC"),
            root_password=Password("secret"),
            users=(User("me", Password("pw"), groups=("audio", "team")),),
            groups=(UserGroup("team"),),
            services=Services(disabled=("nosuch",)),
        ),
        scripts=(
            Script("pre", "echo pre", line=50),
            Script(
                "post", "date > /etc/date; mkdir -p /var/cache/x; echo $$ > /tmp/pid; ls -l /etc > /dev/null", line=51
            ),
            Script("post", 'touch "$INSTALL_ROOT/etc/outside"', chroot=False, line=52),
            Script("pack", "ls", line=53),
        ),
        attachments=(Attachment("/usr/share/app", 60),),
    )


def test_a_build_ends_with_its_result_and_all_that_it_delivers(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, a_whole_plan(repository))
    assert run.status == 0, run.log
    assert [(artifact["name"], artifact["kind"]) for artifact in run.result["artifacts"]] == [
        ("app", "attachment"),
        ("img.tar.gz", "archive"),
        ("img.packages", "packages"),
    ]
    assert {path.name for path in run.place.out.iterdir()} == {"app", "img.tar.gz", "img.packages", "result.json"}
    assert (run.place.out / "img.packages").read_text().splitlines() == [
        *("app-1.0-1.noarch", "base-files-1.0-1.noarch", "draws-identity-1.0-1.noarch"),
        *("lib-1.0-1.noarch", "shell-1.0-1.noarch", "texts-1.0-1.noarch"),
    ]
    phases = list(dict.fromkeys(progress.phase for progress in run.progress))
    assert phases == ["scripts", "repositories", "resolve", "download", "install", "configure", "image"]
    assert [progress.detail for progress in run.progress if progress.phase == "install"][-3:-1] != ["", ""]


def test_the_same_plan_gives_the_same_tree_and_archive_wherever_and_whenever(
    tmp_path: Path, repository: Path
) -> None:
    wanted = a_whole_plan(repository)
    # What a script writes of the time is its own affair.
    scripts = tuple(replace(script, body=script.body.replace("date > /etc/date; ", "")) for script in wanted.scripts)
    wanted = replace(wanted, scripts=scripts)
    first = create(tmp_path / "1", wanted)
    time.sleep(1.1)
    second = create(tmp_path / "a longer name" / "2", wanted)
    assert (first.status, second.status) == (0, 0), first.log + second.log
    one, two = listing(first.tree), listing(second.tree)
    assert {name: (one.get(name), two.get(name)) for name in one | two if one.get(name) != two.get(name)} == {}
    assert max(int(str(entry[4])) for entry in one.values()) == EPOCH * 10**9
    assert any(name.endswith("rpmdb.sqlite") for name in one)
    archives = [(run.place.out / "img.tar.gz").read_bytes() for run in (first, second)]
    assert archives[0] == archives[1]


def test_rpm_reads_the_database_of_the_image_and_finds_nothing_changed(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "app"))
    assert run.status == 0, run.log

    def rpm(*arguments: str) -> list[str]:
        argv = ["rpm", "--root", str(run.tree), "--dbpath", "/var/lib/rpm", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=False)
        assert "error" not in done.stderr
        return sorted(done.stdout.splitlines())

    assert rpm("-qa", "--qf", "%{name} %{installtime} %{installtid}\n") == [
        f"{name} {EPOCH} {EPOCH}" for name in ("app", "base-files", "lib", "shell")
    ]
    assert rpm("-q", "--whatprovides", "/usr/share/app", "--qf", "%{name}\n") == ["app"]
    # Owners and modes as well; /proc, /sys and /dev belong to the kernel.
    assert rpm("-Va") == []


def test_nothing_of_the_builder_is_in_the_image(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, a_whole_plan(repository))
    names = {str(path.relative_to(run.tree)) for path in run.tree.rglob("*")}
    assert not [name for name in names if "dnf" in name or ".rpmdb" in name or name.startswith(("tmp/", "var/tmp"))]
    assert "etc/resolv.conf" not in names
    assert run.text("/etc/machine-id") == ""
    place = str(tmp_path).encode()
    assert not [
        path
        for path in run.tree.rglob("*")
        if path.is_file() and not path.is_symlink() and place in path.read_bytes()
    ]


def test_a_build_of_five_packages_takes_little_time_of_the_processor(tmp_path: Path, repository: Path) -> None:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def seconds(top: Path) -> float:
        before = spent()
        assert create(top, plan(repository, "app", "extra")).status == 0
        return spent() - before

    # Not by the clock, which other work on the machine moves on as well. The best of three, for the same reason.
    assert min(seconds(tmp_path / str(number)) for number in range(3)) < 1.2


def test_a_failed_build_tells_its_error_last_and_has_no_result(tmp_path: Path, repository: Path) -> None:
    run: Run = create(tmp_path, plan(repository, "nosuch"))
    failure(run)
    assert parse(run.lines[-1]) is not None
    assert not any("Traceback" in line for line in run.lines)
    assert list(run.place.out.iterdir()) == []


def test_a_plan_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = workplace_below(tmp_path)
    place.inputs.mkdir()
    for text in ("{", '{"name": 1}', '{"nosuch": 1}'):
        (place.inputs / "plan.json").write_text(text)
        assert main([str(tmp_path)]) == 1
        error = parse(capsys.readouterr().out.splitlines()[-1])
        assert error is not None and error.message.startswith("the plan ")
