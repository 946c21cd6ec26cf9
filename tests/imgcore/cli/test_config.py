# SPDX-License-Identifier: GPL-2.0-or-later
"""`img config`: what is wrong, and what is in force, of files that people write."""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path

import pytest

from imgcore import config
from imgcore.cli.config.show import written
from SkyNET import configuration
from tests.support.img import IMG, Home

ROOT = Path(__file__).parents[3]
SKYNET = """[boss]
amqp_host = broker
amqp_user = imager
amqp_pwd_file = {password}
amqp_vhost = farm
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a directory of its own for the participants' files."""
    (tmp_path / "skynet").mkdir()
    return Home(tmp_path / "home", SKYNET_CONFIG_DIR=str(tmp_path / "skynet"))


def skynet(home: Home, name: str, text: str, mode: int = 0o644) -> Path:
    path = home.path.parent / "skynet" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def broker(home: Home, text: str = SKYNET, mode: int = 0o640) -> Path:
    """skynet.conf, and the password that it names."""
    password = skynet(home, "password", "secret\n", mode)
    return skynet(home, "skynet.conf", text.format(password=password))


def findings(home: Home, *arguments: str | Path, code: int = 0) -> list[tuple[str, str, int, str]]:
    done = home.img("config", "check", "--json", *arguments)
    assert (done.code, done.err) == (code, "")
    told = json.loads(done.out)["findings"]
    return [(each["severity"], Path(each["file"]).name, each["line"], each["message"]) for each in told]


def test_without_any_file_all_is_well(home: Home) -> None:
    done = home.img("config", "check")
    assert (done.code, done.out) == (0, "no configuration file is here: all is as it is by default\n")


def test_the_shipped_files_have_no_mistake(home: Home) -> None:
    broker(home)
    for path in (ROOT / "conf/skynet").glob("[!s]*.conf"):
        skynet(home, path.name, path.read_text())
    assert findings(home, "--config", ROOT / "conf/imager.conf", "--strict") == []
    files = json.loads(home.img("config", "check", "--json").out)["files"]
    assert [Path(each).name for each in files] == [
        "build_image.conf", "build_ks.conf", "request_image.conf", "skynet.conf", "update_image_status.conf",
    ]  # fmt: skip


def test_every_mistake_of_every_file_is_told_at_once(home: Home) -> None:
    path = home.config("[imager]\nspol = /x\nspool = x\n[limits]\nmemory = much\n")
    broker(home, SKYNET.replace("amqp_vhost", "amqp_vhots"))
    skynet(home, "mine.conf", "[participant]\nname = build_ks\ncode = participants/build_ks.py\nslots = many\n")
    assert findings(home, "--config", path, code=1) == [
        ("warning", "imager.conf", 2, "[imager] spol is not known"),
        ("error", "imager.conf", 3, "[imager] spool: 'x' is not an absolute path"),
        ("error", "imager.conf", 5, "[limits] memory: 'much' is not a size such as 512M or 8G"),
        ("warning", "skynet.conf", 5, "[boss] amqp_vhots is not known"),
        ("error", "mine.conf", None, "[boss] amqp_vhost: is missing"),
    ]


def test_a_warning_is_a_failure_only_where_that_is_wanted(home: Home) -> None:
    path = home.config("[imager]\nspol = /x\n")
    told = [("warning", "imager.conf", 2, "[imager] spol is not known")]
    assert findings(home, "--config", path) == findings(home, "--config", path, "--strict", code=1) == told
    done = home.img("config", "check", "--config", path)
    assert done.out == f"warning  {path}, line 2: [imager] spol is not known  → did you mean spool?\n"


def test_a_file_that_is_no_ini_file_does_not_hide_the_others(home: Home) -> None:
    path = home.config("nothing\n", ".config/imager/imager.conf")
    other = home.config("[imager]\nspol = /x\n", "other.conf")
    assert [each[:3] for each in findings(home, "--config", other, code=1)] == [
        ("error", path.name, None),
        ("warning", "other.conf", 2),
    ]


def test_the_files_that_are_given_alone_are_looked_at(home: Home) -> None:
    home.config("[imagr]\n", ".config/imager/imager.conf")
    good, bad = home.config("[limits]\ntimeout = 1h\n", "good"), broker(home, "[boss]\namqp_hots = x\n")
    assert findings(home, good) == []
    assert findings(home, good, bad) == [("warning", "skynet.conf", 2, "[boss] amqp_hots is not known")]
    assert [each[0] for each in findings(home, home.path / "gone", code=1)] == ["error"]


def test_passwords_that_others_can_read_are_errors(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o640)
    path = home.config(f"[mail]\npassword_file = {secret}\n[webhook w]\nurl = http://h/\nsecret_file = /gone\n")
    broker(home, mode=0o644)
    assert findings(home, "--config", path, code=1) == [
        ("error", "imager.conf", 2, f"[mail] password_file: {secret} can be read by others"),
        ("error", "imager.conf", 5, "[webhook w] secret_file: /gone cannot be read: No such file or directory"),
        ("error", "skynet.conf", 4, f"[boss] amqp_pwd_file: {tmp_path}/skynet/password can be read by others"),
    ]
    secret.chmod(0o600)
    home.config("[imager]\n")
    broker(home, "[boss]\namqp_pwd = x\n")
    assert findings(home, code=1) == [("error", "skynet.conf", 2, "[boss] amqp_pwd: everybody can read it here")]


def test_a_password_that_is_not_there_yet_is_a_warning(home: Home) -> None:
    broker(home, SKYNET.replace("{password}", "/gone"))
    assert [each[:3] for each in findings(home)] == [("warning", "skynet.conf", 4)]


def test_the_configuration_that_a_participant_s_variables_name_is_looked_at_too(home: Home) -> None:
    broker(home)
    skynet(home, "build_ks.conf", (ROOT / "conf/skynet/build_ks.conf").read_text())
    path = home.config("[imager]\nspol = /x\n", "its-own.conf")
    variables = skynet(home, "build_ks.env", f"# its own\nIMAGER_CONFIG={path}\n")
    assert findings(home) == [("warning", "its-own.conf", 2, "[imager] spol is not known")]
    path.write_text("[imager]\n")
    assert str(path) in json.loads(home.img("config", "check", "--json").out)["files"]
    path.unlink()
    message = f"{variables}: IMAGER_CONFIG names {path}, which is not there"
    assert [(each[0], each[3]) for each in findings(home, code=1)] == [("error", message)]


def test_a_directory_that_cannot_be_made_is_an_error_and_one_that_can_be_is_none(home: Home) -> None:
    (home.path / "file").write_text("")
    path = home.config(f"[imager]\nspool = {home.path}/new/spool\ncache = {home.path}/file/cache\nksstore = /gone\n")
    assert findings(home, "--config", path, code=1) == [
        ("error", "imager.conf", 3, f"[imager] cache: {home.path}/file is not a directory"),
        ("warning", "imager.conf", 4, "[imager] ksstore: /gone is not there"),
    ]


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_what_lies_below_a_closed_directory_does_not_end_the_look_at_the_rest(home: Home, command: str) -> None:
    closed = home.path / "closed"
    closed.mkdir()
    path = home.config(
        f"[imager]\nspool = {closed}/spool\nksstore = {closed}/ks\n[mail]\npassword_file = {closed}/p\n"
    )
    broker(home, SKYNET.replace("{password}", f"{closed}/password"))
    skynet(home, "build_ks.conf", (ROOT / "conf/skynet/build_ks.conf").read_text())
    skynet(home, "build_ks.env", f"IMAGER_CONFIG={closed}/own.conf\n")
    # Root without its capabilities is like everybody.
    ordinary = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
    person = Home(home.path, command=(*ordinary, IMG), SKYNET_CONFIG_DIR=str(home.path.parent / "skynet"))
    closed.chmod(0)
    try:
        if command == "doctor":
            checks = json.loads(person.img("doctor", "--config", path, "--json").out)
            assert [each["detail"] for each in checks if each["subject"] == "spool"] == [
                f"{closed} cannot be written"
            ]
        else:
            told = {(each[0], each[3]) for each in findings(person, "--config", path, code=1)}
            assert told >= {
                ("error", f"[imager] spool: {closed}/spool is not there, and {closed} cannot be written"),
                ("error", f"[imager] ksstore: {closed}/ks cannot be read"),
                ("warning", f"[mail] password_file: {closed}/p is not for you to read"),
                ("warning", f"[boss] amqp_pwd_file: {closed}/password is not for you to read"),
            }
            assert any(f"{closed}/own.conf" in each[1] for each in told)
    finally:
        closed.chmod(0o700)


def test_other_people_s_participants_may_have_options_and_sections_of_their_own(home: Home) -> None:
    broker(home, SKYNET + "[their_service]\nurl = x\n[skynett]\n")
    skynet(home, "theirs.conf", "[participant]\nname = theirs\ncode = participants/build_ks.py\ncolour = red\n")
    assert findings(home) == [("warning", "skynet.conf", 8, "section [skynett] is not known")]


def test_the_options_of_the_participants_files_are_those_that_ship() -> None:
    shipped: dict[str, set[str]] = {}
    for path in sorted((ROOT / "conf/skynet").glob("*.conf")):
        parser = configparser.ConfigParser(interpolation=None)
        lines = path.read_text().splitlines()
        parser.read_string("\n".join(line.removeprefix("#") for line in lines if not line.startswith(("# ", "#  "))))
        for section in parser.sections():
            shipped.setdefault(section, set()).update(parser[section])
    shipped["participant"].remove("engine")
    assert shipped == {section: set(options) for section, options in configuration.OPTIONS.items()}


def test_show_says_what_is_in_force_and_where_it_was_said(home: Home) -> None:
    path = home.config(
        "[imager]\nbase_url = https://me:hunter2@h/\n[limits]\ntimeout = 90m\n", ".config/imager/imager.conf"
    )
    done = home.img("config", "show", "--spool", "/s", "--json")
    assert done.code == 0
    told = {(each["section"], each["option"]): each for each in json.loads(done.out)}
    assert told["limits", "timeout"] == {
        "section": "limits", "option": "timeout", "value": "90m", "origin": "file", "file": str(path), "line": 4,
    }  # fmt: skip
    assert (told["imager", "spool"]["value"], told["imager", "spool"]["origin"]) == ("/s", "option")
    assert (told["worker", "slots"]["value"], told["worker", "slots"]["origin"]) == ("auto", "default")
    assert "hunter2" not in done.out
    lines = home.img("config", "show").out.splitlines()
    assert any(line.split() == ["[limits]", "timeout", "90m", f"{path},", "line", "4"] for line in lines)


def test_show_has_no_secret(home: Home) -> None:
    text = "[webhook w]\nurl = https://h.example/services/T0/hunter2\nsecret_file = /s\n"
    text += "[build_service b]\nrepositories = http://me:hunter2@h/\n"
    out = home.img("config", "show", "--config", home.config(text)).out
    assert "hunter2" not in out
    assert "https://h.example/***" in out


def test_what_is_shown_can_be_written_into_a_file_and_means_the_same() -> None:
    for setting in config.read(files=[ROOT / "conf/service.conf"], found=lambda finding: None).settings():
        text = written(setting.option, setting.value)
        assert config._OPTIONS[setting.section][setting.option](text) == setting.value
