# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds that fail for a reason that a person can have: record, terminal, log and page name it, in a sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import html, small
from tests.support.img import Done, Home, at_once
from tests.support.machine import nothing_left
from tests.support.rpms import Rpm, make_key, make_repository

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Case:
    """A build: what is in its kickstart, how it is started, and what must be said of it (a pattern)."""

    cause: str
    error: str
    packages: tuple[str, ...] = ()
    head: str = ""
    tail: str = ""
    #: The `repo` line's URL; empty: the small repository.
    url: str = ""
    #: Further options of the repo line.
    repo: str = ""
    image_type: str = "fs"
    options: tuple[str, ...] = ()
    limits: str = ""
    config: str = ""
    #: What a person is told to do.
    remedy: str = "."


_HUNGRY = "%pre --interpreter=/usr/bin/python3\nimport time\nkept = bytearray(400 << 20)\ntime.sleep(60)\n%end\n"
_MANY = "%pre --erroronfail\nfor each in 1 2 3 4 5 6 7 8 9; do sleep 30 & sleep 30 & sleep 30 & done\nwait\n%end\n"

CASES = {
    "unreachable repository": Case(
        "repository-unreachable",
        r"image\.ks, line 1: repository small \(http://127\.0\.0\.1:9/\) cannot be reached: .*",
        url="http://127.0.0.1:9/", remedy="network",
    ),
    "local repository that is not there": Case(
        "repository-unreachable", r"image\.ks, line 1: repository small \(file:///nonexistent\) is not there: .*",
        url="file:///nonexistent", remedy="URL",
    ),
    "directory that is no repository": Case(
        "repository-invalid",
        r"image\.ks, line 1: repository small \(file:///usr/share\) has no repodata/repomd\.xml",
        url="file:///usr/share", remedy="createrepo_c",
    ),
    "damaged metadata": Case(
        "repository-invalid", r"image\.ks, line 1: .*repository small \(file://.*/damaged\).*", url="{damaged}",
        remedy="createrepo_c",
    ),
    "missing package": Case(
        "package-missing", r"image\.ks, line 4: package extrra is in none of the repositories",
        packages=("app", "extrra"), remedy=r"did you mean extra\?",
    ),
    "missing group": Case(
        "group-missing", r"image\.ks, line 3: package group toools is in none of the repositories",
        packages=("@toools",), remedy=r"did you mean tools\?",
    ),
    "conflict": Case(
        "dependency-conflict",
        r"image\.ks, line [34]: the packages do not fit together: .*clash.* conflicts with app.*",
        packages=("app", "clash"), remedy="leave out",
    ),
    "missing dependency": Case(
        "dependency-conflict", r"image\.ks, line 3: .*nothing provides something-that-nobody-has needed by lonely.*",
        packages=("lonely",), remedy="add the repository",
    ),
    "signed with another key": Case(
        "signature",
        r"image\.ks, line 1: package signed-1\.0-1\.noarch of repository small is signed with another key .*",
        packages=("signed",), url="{signed}", repo=" --gpgkey={other}", remedy="--gpgkey",
    ),
    "not signed": Case(
        "signature", r"image\.ks, line 1: package \w+-1\.0-1\.noarch of repository small is not signed",
        repo=" --gpgkey={key}", remedy="signed",
    ),
    "key that is not there": Case(
        "signature", r"image\.ks, line 1: the GPG key .* of repository small cannot be read: .*",
        repo=" --gpgkey=file:///nonexistent/key", remedy="--gpgkey",
    ),
    "script in the image": Case(
        "script-failed",
        r"image\.ks, line 5: the %post script failed with exit status 127 at line 8 of the kickstart: .*no-such.*",
        tail="%post --erroronfail\necho one\nset -e\nno-such-command\n%end\n", remedy="log",
    ),
    "script beside the image": Case(
        "script-failed", r"image\.ks, line 5: the %post script \(--nochroot\) failed with exit status 7: last words",
        tail="%post --nochroot --erroronfail\necho last words\nexit 7\n%end\n", remedy="log",
    ),
    "script of Python": Case(
        "script-failed",
        r"image\.ks, line 5: the %pack script failed with exit status 1 at line 6 of the kickstart: .*",
        tail="%pack --erroronfail --interpreter=/usr/bin/python3\nraise ValueError('why')\n%end\n", remedy="log",
    ),
    "scriptlet": Case(
        "scriptlet-failed", r".*the %pre scriptlet of package refuses-1\.0-1\.noarch failed: exit status 3: not here",
        packages=("refuses",),
    ),
    "no space for packages": Case(
        "disk-full", r"there is no space left.*", packages=("big",), limits="disk = 6M",
        remedy=r"\[limits\] disk|larger",
    ),
    "no space for a script": Case(
        "disk-full", r".*no space left.*", limits="disk = 40M", remedy=r"\[limits\] disk|larger",
        tail='%post --nochroot --erroronfail\nhead -c 64M /dev/zero > "$INSTALL_ROOT/big"\n%end\n',
    ),
    "image too small": Case(
        "image-too-small", r"image\.ks, line 2: .*/.*(1 MiB|too small|does not fit|larger).*",
        head="part / --size=1 --fstype=ext4\n", image_type="loop", packages=("big",), remedy="--size",
    ),
    "time-out": Case(
        "time-out", r"the build took longer than its time limit of 2 s", tail="%pre\nsleep 100\n%end\n",
        options=("--timeout=2s",), remedy="--timeout",
    ),
    "memory": Case(
        "out-of-memory", r"the build used more memory than its limit of 200 MiB", limits="memory = 200M",
        tail=_HUNGRY, remedy=r"\[limits\] memory",
    ),
    "processes": Case(
        "too-many-processes",
        r"image\.ks, line 5: the %pre script failed.*: no more processes can be started",
        limits="processes = 20", tail=_MANY, remedy=r"\[limits\] processes",
    ),
    "no boot loader without a kernel": Case(
        "boot-loader", r"image\.ks, line 3: bootloader: there is no kernel .*", image_type="raw",
        head="part / --size=40 --fstype=ext4\nbootloader\n", remedy="kernel package",
    ),
    "interpreter that is not there": Case(
        "script-failed", r"image\.ks, line 5: the %post script cannot be run: /usr/bin/perl is not in the image",
        tail="%post --erroronfail --interpreter=/usr/bin/perl\nprint 1;\n%end\n", remedy="install the package",
    ),
    "a creator that is killed": Case(
        "killed", r"builtin was ended by signal 9", remedy="log",
        tail="%pre\nkill -9 $(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status)\n%end\n",
    ),
    "no space for the image's files": Case(
        "image-too-small", r"image\.ks, line 2: .*", head="part / --size=3 --fstype=ext4\n", image_type="raw",
        packages=("big",), remedy="--size", tail="",
    ),
}  # fmt: skip


@dataclass
class Failed:
    """All builds, done; their records by case; the pages."""

    home: Home
    done: dict[str, Done] = field(default_factory=dict)
    left: str = ""

    def record(self, name: str) -> dict[str, Any]:
        return self.done[name].record

    def page(self, name: str) -> str:
        path = self.home.data / "report" / "jobs" / self.record(name)["image_id"] / "index.html"
        return " ".join(html.parse(path).text.split())


def places(top: Path, repository: Path) -> dict[str, str]:
    """Repositories and keys that are wrong, for the cases that need one."""
    damaged = top / "damaged"
    shutil.copytree(repository, damaged)
    for path in (damaged / "repodata").glob("*primary*"):
        path.write_bytes(b"this is no XML")
    key, other = make_key(top / "key"), make_key(top / "other", "Other <other@example.org>")
    signed = make_repository(top / "signed", [Rpm("signed", files={"/usr/signed": "x\n"})], key=key)
    found = {"damaged": damaged, "key": key.public, "other": other.public, "signed": signed}
    return {name: path.as_uri() for name, path in found.items()}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Failed:
    """Every case built, and the report made."""
    top = tmp_path_factory.mktemp("failures")
    where = places(top, repository)
    home = Home(top / "home")

    def build(numbered: tuple[int, Case]) -> Done:
        number, case = numbered
        text = small.kickstart(case.url.format(**where) or repository, *case.packages, head=case.head, tail=case.tail)
        first, rest = text.split("\n", 1)
        path = home.kickstart(f"{first}{case.repo.format(**where)}\n{rest}", f"{number}/image.ks")
        config = home.config(f"[limits]\nscratch = memory\n{case.limits}\n{case.config}", f"{number}/imager.conf")
        return home.img("build", path, "--json", "--type", case.image_type, "--config", config, *case.options)

    found = Failed(home)
    try:
        with nothing_left():
            done = at_once(build, list(enumerate(CASES.values())))
            found.done.update(zip(CASES, done, strict=True))
    except AssertionError as error:
        found.left = str(error)  # told by a test of its own: the others have their own to say
    assert home.img("report").code == 0
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_build_that_fails_says_why(failed: Failed, name: str) -> None:
    case, done = CASES[name], failed.done[name]
    assert done.code == 1, done
    record = done.record
    assert record["status"] == "ERROR"
    assert (record["error_cause"], record["error"]) == (case.cause, record["error"]), record["error"]
    assert re.fullmatch(case.error, record["error"]), record["error"]
    assert re.search(case.remedy, record["error_remedy"]), record["error_remedy"]
    # On the terminal: the last line, once; never a traceback.
    last = done.err.splitlines()[-1]
    assert last == f"img: {record['image_id']}: {record['error']} ({record['error_remedy']})"
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", CASES)
def test_the_log_of_a_failed_build_ends_with_why(failed: Failed, name: str) -> None:
    record = failed.record(name)
    kept = failed.home.spool / "jobs" / record["image_id"] / "build.log"
    assert kept.read_text().splitlines()[-1].endswith(f" ERROR: {record['error']}")
    published = Path(record["directory"]) / "image.log"
    assert published.read_text() == kept.read_text()
    assert record["logfile_url"] == published.as_uri()
    # What failed delivers its log and kickstart, and nothing that could be taken for an image.
    assert sorted(each.name for each in published.parent.iterdir()) == ["image.ks", "image.log"]


@pytest.mark.parametrize("name", CASES)
def test_the_page_of_a_failed_build_says_why(failed: Failed, name: str) -> None:
    record, text = failed.record(name), failed.page(name)
    assert " ".join(record["error"].split()) in text
    assert record["error_remedy"][1:] in text


def test_no_failed_build_leaves_anything_on_the_machine(failed: Failed) -> None:
    assert failed.left == ""


def test_a_failed_build_leaves_no_latest_link_and_a_sound_spool(failed: Failed) -> None:
    assert not (failed.home.images / "requests/latest").exists()
    done = failed.home.img("fsck")
    assert (done.code, done.out) == (0, "")


def test_the_same_build_can_be_tried_again(failed: Failed, repository: Path) -> None:
    path = failed.home.kickstart(small.kickstart(repository), "again/image.ks")
    text = path.read_text()
    path.write_text(text.replace("app", "appp"))
    assert failed.home.img("build", path, "--type=fs").code == 1
    path.write_text(text)
    record = failed.home.build(path, "--type=fs")
    latest = failed.home.images / "requests/latest/image"
    assert latest.resolve() == Path(record["directory"])


def test_a_tool_whose_command_is_not_there_is_named(home: Home, repository: Path) -> None:
    config = home.config("[tool hammer]\ncommand = /opt/no-such-hammer --hard\n")
    path = home.kickstart(small.kickstart(repository))
    done = home.img("build", path, "--json", "--type=fs", "--config", config, "--tool=hammer")
    assert done.code == 1
    if os.geteuid() == 0:
        assert done.record["error_cause"] == "tool-missing"
        assert "/opt/no-such-hammer" in done.record["error"]
    else:
        assert done.record["error_cause"] == "sandbox"
        assert "hammer needs root" in done.record["error"]


def test_a_build_whose_worker_is_killed_is_found_by_the_next_who_looks(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository, tail="%pre\nsleep 100\n%end\n"))
    with nothing_left():
        process = subprocess.Popen(
            home.command("build", path, "--type=fs"), env=home.environment(), stderr=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 20
        while time.monotonic() < end and [each["phase"] for each in home.records()] != ["scripts"]:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = home.img("fsck", "--json")
        assert (found.code, [each["kind"] for each in json.loads(found.out)]) == (1, ["dead-worker"])
        assert home.img("fsck", "--repair").code == 0
    (record,) = home.records()
    assert (record["status"], record["error_cause"]) == ("ERROR", "killed")
    assert f"process {process.pid} on " in record["error"]
    assert "in phase scripts" in record["error"]
    assert home.img("fsck").code == 0
