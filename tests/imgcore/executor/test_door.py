# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that the sudo door lets a build through and nothing else: a user attacks it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.executor.local import DOOR
from tests.support import door, sandboxes
from tests.support.door import Machine
from tests.support.sandboxes import Said

pytestmark = pytest.mark.real

#: Becomes a command in a user namespace with 65536 ids, as containers are; needs root.
_CONTAINER = f"""
import os, sys
sys.path.insert(0, {str(sandboxes.REPOSITORY)!r})
from imgcore.executor import identity, kernel
made, tell = os.pipe()
mapped, go = os.pipe()
us = os.getpid()
if os.fork() == 0:
    os.read(made, 1)
    identity.map_process(us, identity.Range(0, 0, 1, 1, 65536, True))
    os._exit(os.write(go, b"x") - 1)
kernel.unshare(kernel.NEW_USER)
os.write(tell, b"x")
os.read(mapped, 1)
os.wait()
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    place = Path(tempfile.mkdtemp(prefix="imager-test-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        with door.machine(place) as made:
            yield made
    finally:
        place.rmdir()


def knock(machine: Machine, *options: str, tool: str = "builtin", disk: int = 1 << 28) -> Said:
    """What the door says to the user."""
    command = machine.command(["sudo", "-n", "--", DOOR])
    return sandboxes.run(command, machine.place / "cache", f"--tool={tool}", f"--disk={disk}", *options)


def test_the_user_gets_in_with_what_the_configuration_names(machine: Machine) -> None:
    said = knock(machine, f"--readable={machine.place}/repositories/one")
    # There is no plan, so the creator fails; it ran, and as somebody who is not root here.
    assert said.refused == ""
    assert said.end["status"] == 1
    owner = machine.run("stat", "-c", "%u", f"{machine.place}/cache/2000000000", user=False).stdout.strip()
    assert owner == "2000000000"


def test_sudo_allows_the_user_nothing_else(machine: Machine) -> None:
    for command in ("/bin/sh", "/usr/bin/python3", "/usr/bin/mic", DOOR + "/../../bin/sh"):
        assert machine.run("sudo", "-n", "--", command).returncode != 0


@pytest.mark.parametrize(
    "path",
    ["/etc", "/", "{place}", "{place}/cache/../../etc", "{place}/repositories/../cache", "relative", "{place}/cachex",
     "{place}/repositories//one", "{place}/repositories/./one", "{place}/repositories/one/"],
)  # fmt: skip
def test_a_path_outside_the_roots_is_refused(machine: Machine, path: str) -> None:
    said = knock(machine, f"--readable={path.format(place=machine.place)}")
    assert "the sudo door refuses" in said.refused


@pytest.mark.parametrize("path", ["/etc", "/var/tmp", "{place}/repositories"])
def test_a_cache_outside_its_root_is_refused(machine: Machine, path: str) -> None:
    assert "outside the roots" in knock(machine, f"--cache={path.format(place=machine.place)}").refused


def test_a_symbolic_link_leads_nowhere(machine: Machine) -> None:
    machine.run("ln", "-s", "/etc", f"{machine.place}/repositories/link", user=False)
    machine.run("ln", "-s", "/etc", f"{machine.place}/cache/link")
    assert "symbolic links" in knock(machine, f"--readable={machine.place}/repositories/link").refused
    assert "symbolic links" in knock(machine, f"--readable={machine.place}/repositories/link/ssl").refused
    assert "symbolic links" in knock(machine, f"--cache={machine.place}/cache/link").refused


def test_a_link_in_the_place_of_the_door_s_own_cache_is_not_followed(machine: Machine) -> None:
    machine.run("mkdir", "-p", f"{machine.place}/cache/other")
    machine.run("ln", "-s", "/etc", f"{machine.place}/cache/other/2000000000")
    said = knock(machine, f"--cache={machine.place}/cache/other")
    assert "cannot be made" in said.refused
    assert machine.run("stat", "-c", "%u", "/etc", user=False).stdout.strip() == "0"


def test_a_command_of_ones_own_is_refused(machine: Machine) -> None:
    assert "--command" in knock(machine, "--command=/bin/sh").refused
    assert "not one that" in knock(machine, tool="sh").refused
    assert "not one that" in knock(machine, tool="mic").refused


@pytest.mark.parametrize("options", [["--comm=/bin/sh"], ["--door"], ["--config=/tmp/x"], ["--read=/etc"]])
def test_an_option_that_is_not_written_out_is_not_understood(machine: Machine, options: list[str]) -> None:
    said = knock(machine, *options)
    assert not said.end and not said.lines


@pytest.mark.parametrize("disk", [0, -1, 1 << 50])
def test_more_disk_than_allowed_is_refused(machine: Machine, disk: int) -> None:
    assert "--disk" in knock(machine, disk=disk).refused


@pytest.mark.parametrize(
    "spoil",
    [
        ["chmod", "g+w", "/etc/imager/sandbox.conf"],
        ["chown", "54322", "/etc/imager/sandbox.conf"],
        ["chmod", "o+w", "/etc/imager"],
        ["mv", "/etc/imager/sandbox.conf", "/etc/imager/kept"],
    ],
)
def test_a_configuration_that_others_could_have_written_keeps_the_door_shut(
    machine: Machine, spoil: list[str]
) -> None:
    assert machine.run("cp", "-a", "/etc/imager", "/etc/imager.good", user=False).returncode == 0
    try:
        assert machine.run(*spoil, user=False).returncode == 0
        assert "the sudo door refuses" in knock(machine).refused
    finally:
        machine.run("rm", "-rf", "/etc/imager", user=False)
        machine.run("mv", "/etc/imager.good", "/etc/imager", user=False)
    assert knock(machine).refused == ""


def test_the_environment_of_the_user_changes_nothing(machine: Machine) -> None:
    command = [
        "env",
        "PYTHONPATH=/tmp",
        "PYTHONSTARTUP=/tmp/x",
        "LD_PRELOAD=/tmp/x.so",
        "sudo",
        "-n",
        "-E",
        "--",
        DOOR,
    ]
    assert machine.run(*command).returncode != 0  # -E is not allowed
    assert machine.run("find", "/usr/lib/imager", "-perm", "/022", user=False).stdout == ""
    assert machine.run("find", "/usr/lib/imager", "!", "-user", "root", user=False).stdout == ""


def test_in_a_container_whose_root_the_build_would_be_the_door_stays_shut(machine: Machine) -> None:
    container = [sandboxes.PYTHON, "-I", "-c", _CONTAINER]
    command = machine.command([*container, DOOR], user=False)
    said = sandboxes.run(command, machine.place / "cache", "--disk=268435456")
    assert "no ids to spare" in said.refused
    assert "2000000000 to 2000065535" in said.refused
    assert machine.run("test", "-e", f"{machine.place}/cache/0", user=False).returncode == 1


def install(machine: Machine, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """What `conf/install-door` says to root."""
    command = f"{sandboxes.REPOSITORY}/conf/install-door"
    return machine.run("env", f"PATH={path}/usr/sbin:/usr/bin:/sbin:/bin", command, *arguments, user=False)


def written(machine: Machine) -> str:
    return machine.run("cat", "/etc/sudoers.d/imager", "/etc/imager/sandbox.conf", user=False).stdout


def test_a_door_is_not_taken_from_another_user_and_what_an_administrator_wrote_stays(machine: Machine) -> None:
    ours = (door.USER, f"{machine.place}/cache", f"{machine.place}/repositories")
    before = written(machine)
    assert "/imager-sandbox" in before
    refused = install(machine, "daemon", f"{machine.place}/other")
    assert (refused.returncode, "sudoers.d/imager says something else already" in refused.stderr) == (2, True)
    assert written(machine) == before
    machine.run("sh", "-c", "printf '[limits]\ndisk = 1\n' >>/etc/imager/sandbox.conf", user=False)
    refused = install(machine, *ours)
    assert (refused.returncode, "sandbox.conf says something else already" in refused.stderr) == (2, True)
    assert written(machine) == f"{before}[limits]\ndisk = 1\n"
    assert install(machine, "--remove").returncode == 0
    assert written(machine) == ""
    for _ in range(2):
        assert install(machine, *ours).returncode == 0
        assert written(machine) == before


def test_the_door_of_a_package_is_left_alone(machine: Machine) -> None:
    before = written(machine)
    query = f"{machine.place}/bin/dpkg-query"
    script = f"mkdir {machine.place}/bin; echo '#!/bin/sh' >{query}; chmod 755 {query}"
    assert machine.run("sh", "-ec", script, user=False).returncode == 0
    for arguments in (("--remove",), (door.USER, f"{machine.place}/cache")):
        refused = install(machine, *arguments, path=f"{machine.place}/bin:")
        assert (refused.returncode, "package imager-creator's" in refused.stderr) == (2, True)
    assert written(machine) == before
