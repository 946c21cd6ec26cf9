# SPDX-License-Identifier: GPL-2.0-or-later
"""Who builds makes no difference: an ordinary user, with or without a range of ids or by sudo, gets root's bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import door, small
from tests.support.img import EPOCH
from tests.support.sandboxes import REPOSITORY, STRANGER

pytestmark = pytest.mark.real

_DISK = "part / --size=24 --fstype=ext4\nbootloader --location=none\n"
_IDS = "%pre\ncat /proc/self/uid_map\n%end\n"
_START = "from imgcore.cli import main; main()"


@dataclass(frozen=True)
class Person:
    """Somebody on the machine, and how they build; `ids` is what the log says of the ids in the sandbox."""

    ids: str
    name: str = ""
    uid: int = 0
    options: tuple[str, ...] = ()
    subordinate: bool = False
    #: What the person is started by.
    within: tuple[str, ...] = ()


PEOPLE = {
    "root": Person(r"1 +2000000001 +65535"),
    "root of a container": Person(
        r"0 +0 +1", within=("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc")
    ),
    "somebody without a name and a range": Person(r"0 +0 +1", uid=STRANGER),
    "a user with a range": Person(r"1 +1 +65535", door.USER, door.UID, subordinate=True),
    "a user whom sudo lets through the door": Person(
        r"1 +2000000001 +65535", door.USER, door.UID, ("--executor=sudo",)
    ),
}
#: What is built: the type, and the packages besides a shell and a program.
BUILDS = {"fs": ("fs", "extra"), "raw": ("raw", "extra"), "fs with another owner": ("fs", "owned")}


class Shop:
    """The machine with the door, the checkout and a repository where everybody can read them."""

    def __init__(self, machine: door.Machine, repository: Path) -> None:
        self.machine = machine
        self.place = machine.place
        site = sysconfig.get_path("purelib")
        self.as_root(
            f"mkdir {self.place}/checkout {self.place}/site; mount --bind '{REPOSITORY}' {self.place}/checkout;"
            f"mount --bind '{site}' {self.place}/site; mkdir -m 1777 {self.place}/homes;"
            f"cp -r '{repository}' {self.place}/repositories/small; chmod -R a+rX {self.place}/repositories"
        )
        self.write("imager.conf", f"[imager]\ncache = {self.place}/cache\n")

    def as_root(self, script: str) -> str:
        done = self.machine.run("sh", "-euc", script, user=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> None:
        command = self.machine.command(["sh", "-c", f"cat > {self.place}/{name}"], user=False)
        subprocess.run(command, input=text, text=True, check=True)

    def img(self, person: Person, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `img` as that person."""
        self.as_root(
            "sed -i '/door-tester/d' /etc/subuid /etc/subgid"
            + ("; echo door-tester:100000:65536 | tee -a /etc/subuid >> /etc/subgid" if person.subordinate else "")
        )
        home = f"{self.place}/homes/{person.uid}"
        command = [
            "env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", f"SOURCE_DATE_EPOCH={EPOCH}",
            f"PYTHONPATH={self.place}/checkout:{self.place}/site", "PYTHONDONTWRITEBYTECODE=1",
            "/usr/bin/python3", "-c", _START, *arguments,
        ]  # fmt: skip
        command = [*person.within, *command]
        if person.uid:
            command = [
                "setpriv", f"--reuid={person.uid}", f"--regid={person.uid}", "--clear-groups", "--", *command,
            ]  # fmt: skip
        return subprocess.run(self.machine.command(command, user=False), capture_output=True, text=True, check=False)

    def build(self, person: Person, what: str) -> subprocess.CompletedProcess[str]:
        image_type, package = BUILDS[what]
        url = f"file://{self.place}/repositories/small"
        self.write("image.ks", small.kickstart(url, "app", package, head=_DISK, tail=_IDS))
        cache = f"{self.place}/cache" if person.name else f"{self.place}/homes/{person.uid}/cache"
        self.write("imager.conf", f"[imager]\ncache = {cache}\n")
        options = ("--config", f"{self.place}/imager.conf", "--type", image_type, "--json", *person.options)
        return self.img(person, "build", f"{self.place}/image.ks", *options)


@pytest.fixture(scope="module")
def shop(repository: Path) -> Iterator[Shop]:
    place = Path(tempfile.mkdtemp(prefix="imager-test-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        with door.machine(place) as machine:
            yield Shop(machine, repository)
    finally:
        place.rmdir()


@pytest.fixture(scope="module")
def of_root(shop: Shop) -> dict[str, dict[str, str]]:
    return {what: digests(record(shop.build(PEOPLE["root"], what))) for what in BUILDS}


def record(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The record that `--json` printed."""
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    assert found, done.stderr
    return found


def digests(made: dict[str, Any]) -> dict[str, str]:
    assert made["status"] == "DONE", made["error"]
    return {each["name"]: each["sha256"] for each in made["artifacts"] if each["kind"] != "log"}


@pytest.mark.parametrize("what", BUILDS)
@pytest.mark.parametrize("name", [each for each in PEOPLE if each != "root"])
def test_an_ordinary_user_gets_the_bytes_that_root_gets(
    shop: Shop, of_root: dict[str, dict[str, str]], name: str, what: str
) -> None:
    person = PEOPLE[name]
    made = record(shop.build(person, what))
    log = shop.as_root(f"cat {made['directory']}/image.log")
    assert re.search(rf"  +{person.ids}$", log, re.MULTILINE), log
    assert made["executor"] == ("sudo" if person.options else "direct")
    assert made["user"] == (person.name or ("root" if person.within else str(person.uid)))
    if "owner" in what and not person.name:
        # With one id, no file can be given to a second one.
        assert made["error_cause"] == "sandbox"
        assert "owned-1.0-1.noarch has files of an owner" in made["error"]
        assert "/etc/subuid" in made["error"] + made["error_remedy"]
    else:
        assert digests(made) == of_root[what]
    # What is kept is the user's own, whoever built it.
    if person.uid:
        owners = shop.as_root(f"find {shop.place}/homes/{person.uid} -printf '%u:%m %p\n'")
        assert not re.search(r"^root:", owners, re.MULTILINE), owners


def test_whom_sudo_does_not_let_in_is_told_how_to_get_in(shop: Shop) -> None:
    made = record(shop.build(Person("", uid=STRANGER, options=("--executor=sudo",)), "fs"))
    assert (made["status"], made["error_cause"]) == ("ERROR", "sandbox")
    assert made["error"].startswith("the sudo sandbox ended unexpectedly: sudo: ")
    assert "make door" in made["error_remedy"]


def test_root_that_may_not_make_mounts_is_told_so_by_build_and_doctor(shop: Shop) -> None:
    person = Person("", within=("setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin"))
    made = record(shop.build(person, "fs"))
    assert (made["status"], made["error_cause"]) == ("ERROR", "sandbox")
    assert "root may not make mounts here" in made["error"]
    assert "give it that capability" in made["error_remedy"]
    done = shop.img(person, "doctor")
    assert done.returncode == 1
    assert "MISSING executor direct: root may not make mounts here" in done.stdout


def test_a_kernel_without_user_namespaces_is_told_with_what_to_choose(shop: Shop) -> None:
    # The limit is that of a namespace of the test's own.
    limit = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    space = ("unshare", "--user", "--map-user=1", "--map-group=1", "--keep-caps", "sh", "-c", limit, "sh")
    person = Person("", uid=STRANGER, within=(*space, "setpriv", "--ambient-caps=-all", "--inh-caps=-all", "--"))
    done = shop.img(person, "doctor")
    assert "executor direct: the kernel refuses user namespaces here" in done.stdout, done.stderr
    made = record(shop.build(person, "fs"))
    assert made["error_cause"] == "sandbox"
    assert "does not allow user namespaces here: user.max_user_namespaces is reached" in made["error"]
    assert "--executor sudo" in made["error_remedy"]
