# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/config.py."""

import configparser
import re
from pathlib import Path

import pytest

from imgcore import config
from imgcore.buildservice import BuildService
from imgcore.config import Setting
from imgcore.errors import InputError
from imgcore.inifile import Finding
from imgcore.vmsettings import VmSettings


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def fail(finding: Finding) -> None:
    raise AssertionError(finding)


def test_the_last_file_wins_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    first = write(tmp_path / "a.conf", "[imager]\nspool = /a\ntool = mic\n[limits]\nmemory = 2G\n")
    second = write(tmp_path / "b.conf", "[imager]\nspool = /b\n[limits]\ntimeout = 30m\n")
    got = config.load(second, files=[first])
    assert (got.spool, got.tool, got.memory_bytes, got.timeout) == (Path("/b"), "mic", 2 * 2**30, 1800)
    assert got.processes == config.Config().processes


def test_a_tool_of_ones_own_can_be_described(tmp_path: Path) -> None:
    got = config.load(write(tmp_path / "c", "[imager]\ntool=kiwi\n[tool kiwi]\ncommand = /usr/bin/kiwi 'a b'\n"))
    assert got.commands["kiwi"] == ("/usr/bin/kiwi", "a b")


def test_a_build_service_can_be_described(tmp_path: Path) -> None:
    text = "[build_service obs]\nrepositories = http://r\napi = https://a\ncredentials = /c\n"
    got = config.load(write(tmp_path / "c", text), files=[])
    assert got.build_services == {"obs": BuildService("obs", "http://r", "https://a", Path("/c"))}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[imager]\nspool = relative\n", "absolute"),
        ("[imager]\nexecutor = root\n", "not one of auto, direct, sudo"),
        ("[limits]\nmemory = much\n", "not a size"),
        ("[limits]\ntimeout = soon\n", "not a duration"),
        ("[limits]\nprocesses = x\n", "processes"),
        ("[vm]\nbase = ../x\n", "'../x' is not the name of a base image"),
        ("[vm]\nbases = here\n", "absolute"),
        ("[tool x]\n", "command is mandatory"),
        ("[tool x]\ncommand = 'open\n", "command"),
        ("[imager]\ntool = mci\n", "not known"),
        ("no section\n", "cannot be read"),
        ("[build_service x]\napi = http://a\n", "repositories is mandatory"),
        (
            "[build_service x]\nrepositories = r\n",
            r"line 2: \[build_service x\] repositories: 'r' is not a repository URL",
        ),
        ("[build_service x]\nrepositories = http://r\napi = file:///a\n", "not an http or https URL"),
        ("[build_service x]\nrepositories = http://r\ncredentials = c\n", "not an absolute path"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        config.load(write(tmp_path / "c.conf", text), files=[])


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.conf"):
        config.load(tmp_path / "gone.conf", files=[])


@pytest.mark.parametrize(("text", "bytes_"), [("1", 1), ("1k", 1024), ("1.5 GiB", 3 * 2**29), ("2TB", 2 * 2**40)])
def test_sizes_are_powers_of_1024(text: str, bytes_: int) -> None:
    assert config.parse_size(text) == bytes_


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[imager]\nspol = /a\n", "line 2: [imager] spol is not known (did you mean spool?)"),
        ("[limit]\n", "line 1: section [limit] is not known (did you mean limits?)"),
        ("[tol x]\n", "section [tol x] is not known (did you mean tool?)"),
        ("[webhook]\nurl = http://h/\n", "section [webhook] is not known (write [webhook NAME])"),
        ("[webhook x]\nurl = http://h/\nsecret = s\n", "[webhook x] secret is not known (did you mean secret_file?)"),
        ("[build_service x]\nrepositories = http://r\nurl = c\n", "line 3: [build_service x] url is not known"),
        ("[DEFAULT]\nspool = /a\n", "section [DEFAULT] is not known"),
    ],
)
def test_what_is_not_known_is_one_warning_with_the_nearest_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, says: str
) -> None:
    path = write(tmp_path / "c.conf", text)
    spool = config.load(path, files=[]).spool
    assert spool == config.load(path, files=[]).spool == config.Config().spool
    assert len(caplog.messages) == 1
    assert says in caplog.text


def test_a_secret_that_stands_where_its_file_is_named_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="password_file") as caught:
        config.load(write(tmp_path / "c.conf", "[mail]\npassword_file = hunter2\n"), files=[])
    assert "hunter2" not in str(caught.value)


def test_every_mistake_is_told_at_once_and_the_rest_is_read(tmp_path: Path) -> None:
    text = "[imager]\nspool = x\ntool = mic\nexecutor = y\n[worker]\nslots = z\n"
    found: list[Finding] = []
    reading = config.read(write(tmp_path / "c.conf", text), files=[], found=found.append)
    assert [(each.line, each.option, each.serious) for each in found] == [
        (2, "spool", True),
        (4, "executor", True),
        (6, "slots", True),
    ]
    assert reading.config.tool == "mic"


def test_each_setting_says_which_line_of_which_file_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGER_SPOOL", raising=False)
    first = write(tmp_path / "a", "[imager]\nspool = /a\n\ncache = /c\n[tool x]\ncommand = one\n")
    second = write(tmp_path / "b", "# b\n[imager]\nspool: /b\n")
    settings = {
        (each.section, each.option): each for each in config.read(second, files=[first], found=fail).settings()
    }
    assert settings["imager", "spool"] == Setting("imager", "spool", Path("/b"), "file", second, 3)
    assert settings["imager", "cache"] == Setting("imager", "cache", Path("/c"), "file", first, 4)
    assert settings["tool x", "command"] == Setting("tool x", "command", ("one",), "file", first, 6)
    assert settings["limits", "processes"] == Setting("limits", "processes", 8192)
    monkeypatch.setenv("IMAGER_SPOOL", "/e")
    spool = next(each for each in config.read(second, files=[first], found=fail).settings() if each.option == "spool")
    assert spool == Setting("imager", "spool", Path("/e"), "environment")


def test_the_shipped_file_has_every_option_with_its_default_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGER_SPOOL", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    lines = (Path(__file__).parents[2] / "conf/imager.conf").read_text().splitlines()
    shipped = configparser.ConfigParser(interpolation=None)
    shipped.read_string(
        "\n".join(re.sub(r"^#(?=\[|[a-z_]+ =)", "", line) for line in lines if not line.startswith("# "))
    )
    assert {section for section in shipped.sections() if " " not in section} == set(config._OPTIONS)
    for section, options in config._OPTIONS.items():
        assert set(shipped[section]) == set(options)
        said = {option: kind(shipped[section][option]) for option, kind in options.items()}
        assert said == {option: config._default(section, option) for option in options}
    commands = {name: tuple(shipped[f"tool {name}"]["command"].split()) for name in config.Config().commands}
    assert commands == dict(config.Config().commands)
    for kind, options in config._NAMED.items():
        named = [section for section in shipped.sections() if section.startswith(f"{kind} ")]
        assert named
        assert all(set(shipped[section]) == set(options) for section in named)


def test_a_build_gets_the_configuration_as_it_is(tmp_path: Path) -> None:
    text = "[imager]\nksstore = /k\ntool = kiwi\n[worker]\nslots = 3\nfree_memory = 1G\n[tool kiwi]\ncommand = a b\n"
    text += "[vm]\nmemory = 3G\ncores = 2\nshare = /usr /opt\nhide = a b\nnetwork = none\nbase = sles\nbases = /b\n"
    given = config.load(write(tmp_path / "c", text), files=[])
    assert config.from_json(config.to_json(given)) == given
    assert (given.slots, given.free_memory_bytes) == (3, 2**30)
    told = {"share": ("/usr", "/opt"), "hide": ("a", "b"), "base": "sles", "bases": Path("/b")}
    assert given.vm == VmSettings(3 << 30, 2, "none", **told)  # type: ignore[arg-type]


def test_slots_are_a_number_or_left_to_the_machine(tmp_path: Path) -> None:
    assert config.load(write(tmp_path / "c", "[worker]\nslots = auto\n"), files=[]).slots == 0
    with pytest.raises(InputError, match="slots"):
        config.load(write(tmp_path / "c", "[worker]\nslots = many\n"), files=[])


def test_a_process_can_be_given_a_file_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "a.conf", "[imager]\ntool = mic\nbase_url = http://a\nspool = /a\n")
    second = write(tmp_path / "b.conf", "[imager]\nbase_url = http://b\n")
    monkeypatch.setenv("IMAGER_CONFIG", str(first))
    monkeypatch.delenv("IMAGER_SPOOL", raising=False)
    got = config.load(second, files=[])
    assert (got.tool, got.base_url, got.spool) == ("mic", "http://b", Path("/a"))
    monkeypatch.setenv("IMAGER_CONFIG", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="gone cannot be read"):
        config.load(files=[])
