# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves SkyNET/configuration.py and what `skynet_exo` says when it cannot start."""

import os
from pathlib import Path

import pytest

from SkyNET import configuration
from SkyNET.configuration import ConfigurationError
from SkyNET.exo import load_handler, main
from tests.support.hosted import OLD, configure


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_last_file_wins_in_the_order_that_the_field_knows(tmp_path: Path) -> None:
    included = tmp_path / "conf.d"
    included.mkdir()
    write(
        tmp_path / "skynet.conf",
        "[boss]\namqp_host = one\namqp_user = one\namqp_pwd = p%ss%%word\namqp_vhost = one\n"
        f"[skynet]\ninclude_dir = {included}\nlog_level = debug\n[mine]\na = 1\nb = 1\nc = 1\nd = 1\n",
    )
    write(included / "20.conf", "[boss]\namqp_host = three:5\n[mine]\nb = 3\nc = 3\nd = 3\n")
    write(included / "10.conf", "[boss]\namqp_host = two\n[mine]\nb = 2\nc = 2\nd = 2\n")
    write(included / "other.txt", "not read [")
    own = write(
        tmp_path / "own.conf", f"[participant]\nname = n\ncode = {OLD}\nregexp = n.*\n[mine]\nc = 4\nd = 4\nd = 5\n"
    )
    write(tmp_path / "n.conf", "[mine]\nd = 6\n[skynet]\nlog_level = ERROR\n")
    settings = configuration.load(own, tmp_path)
    assert [settings.parser.get("mine", option) for option in "abcd"] == ["1", "3", "4", "6"]
    assert (settings.broker.host, settings.broker.port, settings.broker.password) == ("three", 5, "p%ss%%word")
    assert (settings.name, settings.queue, settings.regexp, settings.log_level) == ("n", "n", "n.*", "ERROR")
    assert [path.name for path in settings.files] == ["skynet.conf", "10.conf", "20.conf", "own.conf", "n.conf"]
    assert "p%ss" not in repr(settings)


def test_the_environment_files_are_read_for_all_and_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_OF_US", "ONE_OF_US", "QUOTED"):
        monkeypatch.setenv(name, "before")
    own = configure(tmp_path, "h", "n")
    write(tmp_path / "skynet.env", "# all\nALL_OF_US=1\nexport ONE_OF_US=2\n\n")
    write(tmp_path / "n.env", "ONE_OF_US = 3\nQUOTED='a b'\n")
    configuration.load(own, tmp_path)
    assert [os.environ[name] for name in ("ALL_OF_US", "ONE_OF_US", "QUOTED")] == ["1", "3", "a b"]


def test_the_code_may_lie_beside_its_configuration(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", "class ParticipantHandler:\n    def handle_wi(self, wid): ...\n")
    own = configure(tmp_path, "h", "n", Path("mine.py"))
    assert configuration.load(own, tmp_path).code == tmp_path / "mine.py"


def test_the_code_may_be_one_of_pythons_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "greeters"
    package.mkdir(parents=True)
    write(package / "__init__.py", "")
    code = write(package / "greeter.py", "class ParticipantHandler:\n    def handle_wi(self, wid): ...\n")
    monkeypatch.syspath_prepend(package.parent)
    own = configure(tmp_path / "etc", "h", "n", Path("greeters/greeter.py"))
    assert configuration.load(own, own.parent).code == code


@pytest.mark.parametrize("option", ["amqp_host", "amqp_user", "amqp_pwd", "amqp_vhost", "name", "code"])
def test_a_missing_option_is_named_with_the_files_that_were_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    own = configure(tmp_path, "h", "n")
    for path in (own, tmp_path / "skynet.conf"):
        write(path, "".join(line for line in path.read_text().splitlines(True) if not line.startswith(f"{option} ")))
    assert main(["--config-dir", str(tmp_path), str(own)]) == 2
    section = "boss" if option.startswith("amqp") else "participant"
    said = capsys.readouterr().err
    assert said.startswith(f"skynet_exo: option {option} of section [{section}] is missing (read: ")
    assert f"{tmp_path / 'skynet.conf'}, {own}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("where", "text", "wanted"),
    [
        ("own.conf", None, "own.conf is not there"),
        ("own.conf", "[participant\n", "own.conf: File contains no section headers"),
        ("own.conf", "[participant]\nname = ../x\ncode = x.py\n", "option name of section [participant]"),
        (
            "own.conf",
            "[participant]\nname = x\ncode = missing.py\n",
            "option code of section [participant]: missing.py",
        ),
        ("own.conf", "[participant]\nname = %(nothing)s\n", "option name of section [participant]: Bad value"),
        ("n.conf", "[boss]\namqp_host = h:port\n", "'h:port' is no address of a broker"),
        ("n.conf", "[boss]\namqp_heartbeat = often\n", "'often' is no number from 0 to 3600"),
        ("n.conf", "[boss]\namqp_ca = /nothing/ca.pem\n", "TLS cannot be used with /nothing/ca.pem"),
        ("n.conf", "[boss]\namqp_pwd_file = /nothing/word\n", "/nothing/word cannot be read"),
        ("n.conf", "[skynet]\nlog_level = LOUD\n", "'LOUD' is none of"),
        ("n.env", "no equals sign\n", "n.env, line 1: not of the form NAME=VALUE"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, text: str | None, wanted: str
) -> None:
    own = configure(tmp_path, "h", "n")
    if text is None:
        own.unlink()
    else:
        write(tmp_path / where, text)
    assert main(["--config-dir", str(tmp_path), str(own)]) == 2
    said = capsys.readouterr().err
    assert wanted in said
    assert said.count("\n") == 1


def test_a_password_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    own = configure(tmp_path, "h", "n", more=f"[boss]\namqp_pwd_file = {tmp_path / 'word'}\n")
    write(tmp_path / "word", "s3cret\n").chmod(0o604)
    with pytest.raises(ConfigurationError, match="open to everybody"):
        configuration.load(own, tmp_path)
    (tmp_path / "word").chmod(0o640)
    assert configuration.load(own, tmp_path).broker.password == "s3cret"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("x = 1\n", "has no class ParticipantHandler"),
        ("class ParticipantHandler:\n    pass\n", "has no method handle_wi"),
        ("class ParticipantHandler:\n    def __init__(self, x): ...\n", "ParticipantHandler() fails: TypeError"),
        ("import no_such_module_at_all\n", "cannot be loaded: ModuleNotFoundError"),
        ("print 'hello'\n", "cannot be loaded: line 1: Missing parentheses"),
    ],
)
def test_code_that_is_no_participant_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, wanted: str
) -> None:
    own = configure(tmp_path, "h", "n", write(tmp_path / "bad_code.py", code))
    assert main(["--config-dir", str(tmp_path), str(own)]) == 2
    said = capsys.readouterr().err
    assert wanted in said
    assert str(tmp_path / "bad_code.py") in said
    assert said.count("\n") == 1


def test_a_handler_that_cannot_start_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = configure(tmp_path, "h", "n")
    write(own, own.read_text().replace("greeting", "other"))
    assert main(["--config-dir", str(tmp_path), str(own)]) == 2
    assert "the handler does not start: NoOptionError: No option 'greeting'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--what"]])
def test_wrong_arguments_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == "skynet_exo: it takes one configuration file (--help says more)\n"


def test_help_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "usage: skynet_exo" in capsys.readouterr().out


def test_code_finds_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "a_neighbour_of_mine.py", "answer = 42\n")
    code = write(
        tmp_path / "needs_neighbour.py",
        "import a_neighbour_of_mine\nclass ParticipantHandler:\n"
        "    answer = a_neighbour_of_mine.answer\n    def handle_wi(self, wid): ...\n",
    )
    assert load_handler(code).answer == 42


def test_a_password_that_everybody_can_read_is_found(tmp_path: Path) -> None:
    own = configure(tmp_path, "localhost", "n")
    assert configuration.exposed(configuration.load(own, tmp_path)) == []
    (tmp_path / "skynet.conf").chmod(0o644)
    assert configuration.exposed(configuration.load(own, tmp_path)) == [tmp_path / "skynet.conf"]
