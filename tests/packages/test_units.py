# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what an administrator gets beside the code: units, supervisor's programs, users, rights, manual pages."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from imgcore import __version__, config
from tests.support.checkout import ROOT

UNITS = sorted((ROOT / "systemd").glob("*.service"))
#: They start what kickstarts name; each thing that they may is explained in them.
BUILDERS = ("imager-build-image.service", "img-worker@.service")
PARTICIPANTS = sorted(path.stem for path in (ROOT / "participants").glob("[!_]*.py"))


def options(unit: Path, section: str = "Service") -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return dict(parser[section])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units where their commands are there."""
    place = tmp_path_factory.mktemp("units")
    for unit in (ROOT / "systemd").iterdir():
        text = unit.read_text().replace("=/usr/bin/", f"={place}/")
        (place / unit.name).write_text(text)
    for name in ("img", "skynet_exo"):
        shutil.copy("/bin/true", place / name)
    return place


def test_each_participant_has_a_unit_a_program_and_a_configuration() -> None:
    assert PARTICIPANTS == ["build_image", "build_ks", "request_image", "update_image_status"]
    for name in PARTICIPANTS:
        unit = ROOT / f"systemd/imager-{name.replace('_', '-')}.service"
        assert options(unit)["ExecStart"] == f"/usr/bin/skynet_exo /etc/skynet/{name}.conf"
        assert (ROOT / f"conf/skynet/{name}.conf").exists()


def test_systemd_understands_every_unit(stage: Path) -> None:
    units = sorted(str(path) for path in stage.glob("*.*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", [path for path in UNITS if path.name not in BUILDERS], ids=lambda path: path.name)
def test_a_service_that_runs_no_tool_is_exposed_at_most_two_of_ten(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_says_why_it_is_exposed(name: str) -> None:
    unit = ROOT / "systemd" / name
    text = unit.read_text()
    explained = " ".join(line for line in text.splitlines() if line.startswith("#"))
    used = options(unit)
    for each in (
        "NoNewPrivileges",
        "PrivateUsers",
        "RestrictNamespaces",
        "ProtectProc",
        "PrivateTmp",
        "SystemCallFilter",
    ):
        assert each in explained
        assert each not in used
    # Builds outlive it.
    assert used["KillMode"] == "process"


@pytest.mark.parametrize("unit", [path for path in UNITS if path.stem != "img-report"], ids=lambda path: path.name)
def test_a_service_that_stays_is_tried_again_and_those_that_take_messages_are_watched(unit: Path) -> None:
    used = options(unit)
    assert (used["Restart"], used["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert used["User"] == "imager"
    assert "RestartSec" in used
    if unit.stem != "img-notify":
        assert used["Type"] == "notify"
        assert {"WatchdogSec", "StateDirectory"} <= set(used)


def test_each_unit_and_program_is_in_one_package() -> None:
    packaged = [
        line.split()[0] for path in (ROOT / "debian").glob("*.install") for line in path.read_text().splitlines()
    ]
    spec = (ROOT / "rpm/imager.spec").read_text()
    for place in ("systemd", "conf/supervisor"):
        for path in (ROOT / place).iterdir():
            assert packaged.count(f"{place}/{path.name}") == 1, path
            assert len(re.findall(rf"^%{{_\w+}}/.*\b{re.escape(path.name)}$", spec, re.MULTILINE)) == 1, path


def test_supervisor_has_the_commands_of_the_units() -> None:
    units = {path.stem.rstrip("@"): options(path)["ExecStart"].removesuffix(" --name %i") for path in UNITS}
    units["img-report"] += " --watch"  # it has no timers
    programs = {}
    for path in (ROOT / "conf/supervisor").glob("*.conf"):
        parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
        parser.read(path)
        program = parser[f"program:{path.stem}"]
        programs[path.stem] = program["command"]
        assert program["user"] == "imager"
        assert 'HOME="/var/lib/imager"' in program["environment"]
    assert programs == units


def test_visudo_accepts_the_sudoers_file_shut_and_opened(tmp_path: Path) -> None:
    shut = (ROOT / "conf/sudoers").read_text()
    assert all(line.startswith("#") for line in shut.splitlines())
    opened = shut.replace("#imager ALL", "imager ALL")
    for name, text in {"shut": shut, "opened": opened}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o440)
        done = subprocess.run(["visudo", "-cf", tmp_path / name], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert [line for line in opened.splitlines() if not line.startswith("#")] == [
        "imager ALL=(root) NOPASSWD: /usr/lib/imager/imager-sandbox"
    ]


def test_the_services_configuration_is_one_that_is_understood_and_its_places_are_made() -> None:
    read = config.load(files=[ROOT / "conf/imager.conf", ROOT / "conf/service.conf"])
    made = re.findall(r"^d (\S+) ", (ROOT / "conf/tmpfiles.conf").read_text(), re.MULTILINE)
    for place in (read.spool, read.base_dir, read.cache, read.report, read.ksstore):
        assert str(place) in made


def test_places_with_kickstarts_are_closed_to_others() -> None:
    rights = dict(re.findall(r"^d (\S+)\s+(\d+)", (ROOT / "conf/tmpfiles.conf").read_text(), re.MULTILINE))
    closed = {"/var/lib/imager/spool", "/var/lib/imager/kickstarts", "/var/lib/skynet", "/var/cache/imager"}
    assert {place for place, mode in rights.items() if mode == "0750"} >= closed
    assert all(int(mode, 8) & 0o022 == 0 for mode in rights.values())


def test_where_supervisor_opens_logs_as_root_nobody_else_can_put_a_link() -> None:
    places = set()
    for path in (ROOT / "conf/supervisor").glob("*.conf"):
        found = re.search(r"^stdout_logfile = (.*)/[^/]+$", path.read_text(), re.MULTILINE)
        assert found, path
        places.add(found[1])
    assert places == {"/var/log/imager"}
    made = re.search(r"^d /var/log/imager +(\d+) (\w+) ", (ROOT / "conf/tmpfiles.conf").read_text(), re.MULTILINE)
    assert made and (made[1], made[2]) == ("0750", "root")
    # Files of root's are for root to rotate.
    assert not re.search(r"^\s*su ", (ROOT / "conf/logrotate.conf").read_text(), re.MULTILINE)


def _scripts() -> dict[str, str]:
    """What the packages run to give imager a range of ids."""
    spec = (ROOT / "rpm/imager.spec").read_text()
    of_rpm = re.search(r"^%post creator\n(.*?)^%post", spec, re.MULTILINE | re.DOTALL)
    assert of_rpm
    return {"deb": (ROOT / "debian/imager-creator.postinst").read_text(), "rpm": of_rpm[1]}


@pytest.mark.parametrize("kind", ["deb", "rpm"])
@pytest.mark.parametrize(
    ("lines", "given"),
    [
        ("", "100000-165535"),
        ("one:100000:65536\ntwo:165536:65536\n", "231072-296607"),
        ("containers:2147483647:2147483648\none:100000:65536\n", "165536-231071"),
        ("all:100000:4294867295\n", ""),
    ],
)
def test_imager_gets_the_range_of_ids_behind_those_of_users_and_where_there_is_none_that_is_told(
    tmp_path: Path, kind: str, lines: str, given: str
) -> None:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(lines)
    script = _scripts()[kind].replace("/etc/sub", f"{tmp_path}/sub")
    usermod = tmp_path / "usermod"
    usermod.write_text('#!/bin/sh\necho "$@"\n')
    usermod.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["sh", "-e", "-c", script, "sh", "configure"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    asked = f"--add-subuids {given} --add-subgids {given} imager\n"
    if given:
        assert done.stdout == asked
    else:
        assert "give it one in " in done.stdout
    usermod.write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "give it one in " in done.stdout) == (0, True)


@pytest.mark.parametrize("page", sorted((ROOT / "docs/man").glob("*.1")), ids=lambda path: path.name)
def test_man_reads_the_page_without_a_warning(page: Path) -> None:
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_there_is_one_version() -> None:
    changelog = (ROOT / "debian/changelog").read_text().partition("\n")[0]
    spec = (ROOT / "rpm/imager.spec").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert changelog.startswith(f"imager ({__version__}) ")
    assert re.search(r"^Version: +(\S+)$", spec, re.MULTILINE)[1] == __version__  # type: ignore[index]
    assert "version" not in project["project"]
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()
