# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves the Debian packages: each installed alone in a clean root, used there, and purged again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imgcore import __version__
from tests.support import checkout, example, page
from tests.support.broker import broker, engine
from tests.support.clean_root import Base, Root
from tests.support.engine import Engine
from tests.support.rabbitmq import Node

__all__ = ["broker", "engine"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

DEBS = checkout.ROOT / "build/packages"
PAGE = checkout.ROOT / "docs/install.md"
PARTICIPANTS = ("build_image", "build_ks", "request_image", "update_image_status")
ALONE = (
    "imager-core",
    "imager-creator",
    "imager-report",
    "imager-vm",
    "python3-ruote-amqp",
    "python3-skynet",
    "python3-pykickstart",
    "imager-doc",
    *(f"imager-{name.replace('_', '-')}" for name in PARTICIPANTS),
)
ALL = (*ALONE, "imager")
#: The books of users: a user stays when a package is purged, for files may still be theirs.
USERS = {
    f"/etc/{name}{old}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid") for old in ("", "-")
}
#: Each module that a package brought.
_IMPORT = """
import importlib, subprocess, sys
top = "/usr/lib/python3/dist-packages/"
said = subprocess.run(["dpkg", "-L", sys.argv[1]], capture_output=True, text=True, check=True).stdout
files = [name.removeprefix(top).removesuffix(".py") for name in said.splitlines() if name.endswith(".py")]
names = [name.replace("/", ".").removesuffix(".__init__") for name in files]
for name in names:
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ImportError:
            print(name)
print(len(names))
"""
#: Commands of the core that are listed, and say which part they need.
_NEED_MORE = [
    f"imgcore.cli.{name}"
    for name in (
        *("build", "image", "report", "retry", "submit"),
        *(
            f"vm.{name}"
            for name in ("check", "forget", "importing", "list", "make_base", "making", "remove", "shell", "update")
        ),
    )
]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    # Not in /tmp, which roots cover; and the same file system as the base.
    scratch = DEBS / "roots"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield Base(DEBS.parent / "debian", DEBS, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def root(base: Base, request: pytest.FixtureRequest) -> Iterator[Root]:
    with base.root(f"{abs(hash(request.node.nodeid)):x}") as made:
        yield made


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """What two listings do not have in common."""
    return {
        path: (before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path) and path.removeprefix("content of ") not in USERS
    }


def configure(root: Root, node: Node, address: str = "") -> None:
    """What an administrator does: the broker's address, and its password in a file of its own."""
    text = root.run("cat", "/etc/skynet/skynet.conf").stdout
    for option, value in {"amqp_host": address or node.address, "amqp_user": "guest", "amqp_vhost": "/"}.items():
        was = next(line for line in text.splitlines() if line.startswith(f"{option} = "))
        text = text.replace(was, f"{option} = {value}")
    root.write("/etc/skynet/skynet.conf", text)
    root.write("/etc/skynet/password", "guest\n", "640", "imager")


@contextmanager
def running(root: Root, *command: str, user: str = "imager", **environment: str) -> Iterator[Path]:
    """A service, as its unit starts it; the file with what it says."""
    started, variables = root.command(*command, user=user, **environment)
    log = root.place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(started, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield log
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def participant(root: Root, name: str) -> Iterator[Path]:
    # As the units of those that run no tool have it.
    held = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--")
    command = (*(held if name != "build_image" else ()), "/usr/bin/skynet_exo", f"/etc/skynet/{name}.conf")
    with running(root, *command, STATE_DIRECTORY="/var/lib/skynet") as log:
        yield log


def answer(engine: Engine, log: Path, queue: str, fields: dict[str, Any], **params: Any) -> dict[str, Any]:
    """The fields of the reply to one step."""
    try:
        found: dict[str, Any] = engine.answer(engine.dispatch(queue, fields, **params), 60)["fields"]
    except TimeoutError:
        raise AssertionError(log.read_text()) from None
    return found


IMAGE = {"name": "tiny", "arch": "x86_64", "image_type": "fs", "kickstart": "lang en_US.UTF-8\n%packages\n%end\n"}


# ---- what is in them


def test_there_is_a_package_for_each_part() -> None:
    assert {path.name.partition("_")[0] for path in DEBS.glob("*.deb")} == set(ALL)
    assert {path.name.split("_")[1] for path in DEBS.glob("*imager*.deb") if "kickstart" not in path.name} == {
        __version__
    }


def test_lintian_has_nothing_to_say_at_its_most_pedantic() -> None:
    command = ["lintian", "--allow-root", "--pedantic", "--display-info"]
    packages = [*DEBS.glob("*.deb"), *DEBS.glob("*.dsc")]
    done = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_built_twice_they_are_the_same_bytes(tmp_path: Path) -> None:
    place = checkout.copy(tmp_path / "checkout")
    theirs, older = tmp_path / "one/somebody-s_1_all.deb", tmp_path / "one/imager-core_0.0.1_all.deb"
    for each in (theirs, older):
        each.parent.mkdir(exist_ok=True)
        each.touch()
    for name in ("one", "other"):
        subprocess.run([place / "conf/make-packages", tmp_path / name], check=True, capture_output=True)
    assert (theirs.exists(), older.exists()) == (True, False)
    theirs.unlink()
    names = sorted(path.name for path in (tmp_path / "one").glob("*") if path.suffix in (".deb", ".dsc", ".xz"))
    assert len(names) == len(ALL) + 2
    for name in names:
        assert (
            subprocess.run(["cmp", tmp_path / "one" / name, tmp_path / "other" / name], check=False).returncode == 0
        )


# ---- each alone


@pytest.mark.parametrize("package", ALONE)
def test_a_package_alone_has_all_that_its_code_imports_and_is_purged_without_a_trace(
    root: Root, package: str
) -> None:
    needed = root.needed(package)
    if needed:
        root.install(*needed)
    before = root.listing()
    there = root.packages()
    root.install(package)
    if package != "imager-doc":
        *lacking, count = root.run("/usr/bin/python3", "-c", _IMPORT, package).stdout.split()
        assert sorted(lacking) == (_NEED_MORE if package == "imager-core" else [])
        assert int(count) > 0
    ours = sorted(root.packages() - there)
    root.run("dpkg", "--purge", *ours)
    assert changed(before, root.listing()) == {}


def test_core_alone_has_its_command_manual_and_completion_and_says_what_is_missing(root: Root) -> None:
    root.install("imager-core", "bash-completion", "man-db")
    assert root.run("img", "--version").stdout == f"img, version {__version__}\n"
    for name, part in {"build": "'build_ks' from 'participants'", "report": "'report' from 'imgcore'"}.items():
        done = root.run("img", name, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"img: this part is not installed: cannot import name {part}")
    assert "_img_completion" in root.run("cat", "/usr/share/bash-completion/completions/img").stdout
    pages = root.run("sh", "-c", "ls /usr/share/man/man1/img*.gz").stdout.split()
    assert "/usr/share/man/man1/img-ks-check.1.gz" in pages
    read = 'for page; do MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null; done'
    assert root.run("sh", "-c", read, "sh", *pages).stderr == ""


def test_core_with_vm_alone_is_asked_for_what_a_machine_needs_and_finds_it(root: Root) -> None:
    def found() -> dict[str, Any]:
        checks = json.loads(root.run("img", "doctor", "--executor", "vm", "--json", check=False).stdout)
        return next(each for each in checks if each["subject"] == "executor vm")

    root.install("imager-vm", "linux-image-cloud-amd64")
    lacking = found()
    assert (lacking["ok"], lacking["remedy"]) == (False, "apt install linux-image-amd64"), lacking
    assert "-cloud-amd64 has no module 9pnet_virtio, 9p" in lacking["detail"]
    root.install("linux-image-amd64")
    assert (found()["ok"], found()["packages"]) == (True, []), found()


def test_nobody_but_the_service_reads_what_may_have_passwords(root: Root) -> None:
    root.install("imager-request-image")
    paths = ["/var/lib/imager/spool", "/var/lib/skynet", "/var/lib/imager/images", "/etc/skynet/skynet.conf"]
    said = root.run("stat", "-c", "%A %U:%G", *paths, "/var/log/imager").stdout.splitlines()
    assert said == [
        "drwxr-x--- imager:imager",
        "drwxr-x--- imager:imager",
        "drwxr-xr-x imager:imager",
        "-rw-r--r-- root:root",
        # Supervisor opens files there as root.
        "drwxr-x--- root:adm",
    ]
    assert "\namqp_pwd" not in root.run("cat", "/etc/skynet/skynet.conf").stdout.replace("amqp_pwd_file", "")


# ---- participants with a broker


@pytest.mark.parametrize("name", PARTICIPANTS)
def test_a_participant_says_what_is_missing_before_it_is_configured(root: Root, name: str) -> None:
    root.install(f"imager-{name.replace('_', '-')}")
    done = root.run("skynet_exo", f"/etc/skynet/{name}.conf", user="imager", check=False)
    assert done.returncode == 2
    assert "option amqp_pwd_file of section [boss]: /etc/skynet/password cannot be read" in done.stderr


def test_build_ks_alone_changes_a_kickstart(root: Root, broker: Node, engine: Engine) -> None:
    root.install("imager-build-ks")
    configure(root, broker)
    with participant(root, "build_ks") as log:
        fields = answer(engine, log, "build_ks", {"image": {**IMAGE, "packages": ["nano"]}})
    assert "\nnano\n" in fields["image"]["kickstart"]


def test_request_image_and_update_image_status_keep_one_record(root: Root, broker: Node, engine: Engine) -> None:
    root.install("imager-request-image", "imager-update-image-status")
    configure(root, broker)
    with participant(root, "request_image") as log:
        image = answer(engine, log, "request_image", {"image": IMAGE, "ev": {"id": 7}})["image"]
    with participant(root, "update_image_status") as log:
        fields = answer(engine, log, "update_image_status", {"image": image}, status="BUILDING")
    assert fields["__result__"] is True
    record = json.loads(root.run("cat", f"/var/lib/imager/spool/jobs/{image['image_id']}/job.json").stdout)
    assert record["status"] == "BUILDING"


def test_build_image_alone_answers_what_it_lacks(root: Root, broker: Node, engine: Engine) -> None:
    root.install("imager-build-image")
    configure(root, broker)
    with participant(root, "build_image") as log:
        fields = answer(engine, log, "build_image", {"image": IMAGE})
    assert fields["image"]["result"] is False
    assert "imager-creator" in fields["image"]["error"] + fields["image"]["error_remedy"]


# ---- all of it


@pytest.fixture(scope="module")
def machine(base: Base) -> Iterator[Root]:
    """A machine with all of Imager and the example's packages."""
    with base.root("machine") as made:
        made.install("imager", "supervisor", "sudo")
        repository = Path(example.repository())
        made.copy(repository, "/opt/tiny")
        made.copy(example.EXAMPLE / "tiny.ks", "/opt/tiny.ks")
        yield made


_TINY = ("/opt/tiny.ks", "--type", "fs", "--arch", "x86_64", "--tokenmap", "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi")


def test_the_page_s_commands_for_one_machine_bring_it_to_its_first_image(machine: Root) -> None:
    install, build, services, configuration = page.commands(PAGE, "One machine")[:4]
    assert install[0].startswith("# apt install imager ")
    machine.install(*install[0].removeprefix("# apt install ").split())
    for user in ("somebody", "imager"):
        home = f"/home/{user}" if user == "somebody" else "/var/cache/imager"
        if user == "somebody":
            machine.run("useradd", "--create-home", user)
        # What was downloaded once; else it would be now.
        place = f"{home}/.local/share/imager/cache/example" if user == "somebody" else f"{home}/example"
        machine.copy(checkout.ROOT / "build/tiny/downloads", f"{place}/downloads")
        machine.run("chown", "-R", f"{user}:{user}", home)
    first = machine.run("sh", "-c", f"{install[1].removeprefix('$ ')} --yes", user="somebody").stdout
    assert "/home/somebody/.local/share/imager/images/requests/" in first
    machine.copy(example.EXAMPLE / "tiny.ks", "/home/somebody/device.ks")
    tokens = "REPO:/opt/tiny,RELEASE:1.0,GREETING:hi"
    line = build[0].removeprefix("$ ")
    machine.run("sh", "-c", f"cd && {line} --type fs --tokenmap {tokens}", user="somebody")
    assert machine.run("sh", "-c", build[1].removeprefix("$ "), user="somebody").stdout.startswith("file:///home/")
    for each in (*services[:2], *configuration):
        said = machine.run("sh", "-c", each.removeprefix("# ")).stdout
        assert said
    assert services[2].startswith("# systemctl enable ")
    assert machine.run("img", "config", "check", "--strict", check=False, user="imager").returncode == 1
    machine.write("/etc/skynet/password", "guest\n", "640", "imager")
    assert machine.run("img", "config", "check", "--strict", user="imager").stdout.count("ok  ") == 7


def test_img_builds_the_example_as_the_user_of_the_services(machine: Root) -> None:
    done = machine.run("img", "build", *_TINY, "--json", user="imager")
    record = json.loads(done.stdout)
    assert (record["status"], record["executor"]) == ("DONE", "direct")
    assert record["directory"].startswith("/var/lib/imager/images/")
    pages = machine.run("img", "report", user="imager").stdout.strip()
    assert pages == "file:///var/lib/imager/report/index.html"
    assert record["image_id"] in machine.run("cat", "/var/lib/imager/report/index.html").stdout


def test_a_build_works_within_what_the_worker_s_unit_leaves_to_it(machine: Root) -> None:
    # ProtectSystem, ReadWritePaths, ProtectHome, and the capabilities that the unit's comment advises.
    confine = """
        set -e
        for place in /var/lib/imager /var/cache/imager /tmp /dev /proc /sys; do mount --rbind $place $place; done
        mount -o remount,bind,ro /
        for place in /home /root; do mount -t tmpfs -o mode=0 tmpfs $place; done
        exec setpriv --reuid=imager --regid=imager --init-groups --reset-env \\
            --bounding-set=-all,+setuid,+setgid,+dac_override,+sys_admin "$@"
    """
    done = machine.run("unshare", "--mount", "sh", "-c", confine, "sh", "img", "build", *_TINY, "--json")
    assert json.loads(done.stdout)["status"] == "DONE"
    assert machine.run("unshare", "--mount", "sh", "-c", confine, "sh", "touch", "/x", check=False).returncode != 0


def test_the_door_is_shut_until_it_is_opened_and_then_lets_builds_in(machine: Root) -> None:
    assert machine.run("stat", "-c", "%a %U", "/etc/sudoers.d/imager").stdout == "440 root\n"
    build = ("img", "build", *_TINY, "--executor", "sudo", "--json")
    assert json.loads(machine.run(*build, user="imager", check=False).stdout)["error_cause"] == "sandbox"
    machine.run("sed", "-i", "s/^#imager ALL/imager ALL/", "/etc/sudoers.d/imager")
    machine.run("sed", "-i", "s|^readable =|readable = /opt/tiny|", "/etc/imager/sandbox.conf")
    machine.run("visudo", "-c")
    record = json.loads(machine.run(*build, user="imager").stdout)
    assert (record["status"], record["executor"]) == ("DONE", "sudo")


def test_with_a_broker_supervisor_runs_a_farm_that_builds_the_example(machine: Root, broker: Node) -> None:
    configure(machine, broker)
    for name in ("img-worker", "img-keeper", "imager-request-image", "imager-build-ks"):
        machine.run("ln", "-s", f"/usr/share/imager/supervisor/{name}.conf", "/etc/supervisor/conf.d/")
    with running(machine, "supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf", user="root"):
        done = machine.run("img", "submit", *_TINY, "--wait", "--json", user="imager", check=False)
        end = time.monotonic() + 30
        while "STARTING" in (states := machine.run("supervisorctl", "status", check=False).stdout):
            assert time.monotonic() < end, states
            time.sleep(0.5)
        logs = machine.run("sh", "-c", "cat /var/log/imager/*").stdout
    assert done.returncode == 0, done.stderr + states + logs
    assert json.loads(done.stdout)["status"] == "DONE"
    assert states.count(" RUNNING ") == 4, states


def newer(place: Path) -> Path:
    """Our packages with a version behind theirs."""
    place.mkdir()
    for deb in DEBS.glob("*.deb"):
        if "kickstart" not in deb.name:
            subprocess.run(["dpkg-deb", "-R", deb, place / "content"], check=True)
            control = place / "content/DEBIAN/control"
            control.write_text(control.read_text().replace(f"Version: {__version__}", f"Version: {__version__}+1")
                               .replace(f"(= {__version__})", f"(= {__version__}+1)"))  # fmt: skip
            subprocess.run(["dpkg-deb", "-b", place / "content", place], check=True, capture_output=True)
            shutil.rmtree(place / "content")
    return place


def kept(root: Root) -> dict[str, str]:
    """What no change of versions may touch."""
    places = ("/var/lib/imager/spool", "/var/lib/imager/images", "/etc/imager", "/etc/skynet")
    found = root.listing().items()
    return {path: each for path, each in found if path.removeprefix("content of ").startswith(places)}


def test_an_upgrade_keeps_configuration_records_and_images(machine: Root, tmp_path: Path) -> None:
    machine.run("sh", "-c", "echo '# mine' >>/etc/imager/service.conf")
    before = kept(machine)
    assert len(before) > 20
    machine.copy(newer(tmp_path / "newer"), "/tmp/upgrade")
    told = re.search(r"`(dpkg .*?)`", page.section(checkout.ROOT / "docs/operations.md", "Upgrade"))
    assert told
    machine.run("sh", "-c", f"cd /tmp/upgrade && {told[1]}")
    assert f"imager-core {__version__}+1" in machine.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n").stdout
    assert changed(before, kept(machine)) == {}


def test_a_downgrade_is_refused_until_it_is_allowed_and_keeps_them_too(machine: Root) -> None:
    said = machine.run("dpkg-query", "-W", "-f", "${source:Package} ${Package}\n").stdout.splitlines()
    older = [f"{line.split()[1]}={__version__}" for line in said if line.startswith("imager ")]
    before = kept(machine)
    done = machine.run("apt-get", "-q", "-y", "install", *older, check=False)
    assert done.returncode == 100 and "--allow-downgrades" in done.stderr
    machine.apt("install", "--allow-downgrades", *older)
    assert changed(before, kept(machine)) == {}
    assert machine.run("img", "jobs", "--json", user="imager").stdout


def test_a_build_goes_on_while_the_packages_are_upgraded(machine: Root) -> None:
    # It takes as long as nobody makes the file.
    wait = "%pre\nuntil [ -e /opt/tiny/go ]; do sleep 1; done\n%end\n"
    machine.write("/opt/long.ks", (example.EXAMPLE / "tiny.ks").read_text() + wait)
    build = ("img", "build", "/opt/long.ks", *_TINY[1:], "--name", "long", "--json")
    command, variables = machine.command(*build, user="imager")
    with subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            waits = "grep -q 'scripts 1/2' /var/lib/imager/spool/jobs/long-*/build.log"
            end = time.monotonic() + 120
            while machine.run("sh", "-c", waits, check=False).returncode:
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.5)
            machine.run("sh", "-c", "dpkg -i -O /tmp/upgrade/*.deb")
        finally:
            machine.run("touch", "/opt/tiny/go")
        record = json.loads(process.communicate(timeout=600)[0])
    assert (process.returncode, record["status"]) == (0, "DONE")


def test_purging_all_keeps_jobs_and_images_and_tells_where_they_are(machine: Root) -> None:
    said = machine.run(
        "sh", "-c", "dpkg --purge $(dpkg-query -W -f '${source:Package} ${Package}\\n' | sed -n 's/^imager //p')"
    )
    assert "jobs, images, bases and kickstarts are kept in /var/lib/imager" in said.stdout
    # Beside those: what an administrator made, here the test, and what users have in their homes.
    made = ("/etc/skynet/password", "/etc/supervisor/conf.d/", "/var/log/supervisor/", "/home/somebody/")
    left = {path for path in machine.listing() if "imager" in path or "skynet" in path} - {"/etc/skynet"}
    assert {
        path for path in left if not path.removeprefix("content of ").startswith((*made, "/var/lib/imager"))
    } == set()
    assert {path.split("/")[4] for path in left if path.startswith("/var/lib/imager/")} == {"images", "spool"}
