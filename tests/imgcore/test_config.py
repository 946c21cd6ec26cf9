"""Proves imgcore/config.py."""

import configparser
from pathlib import Path

import pytest

from imgcore import config
from imgcore.errors import InputError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_last_file_wins_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    first = write(tmp_path / "a.conf", "[imager]\nspool = /a\ntool = mic\n[limits]\nmemory = 2G\n")
    second = write(tmp_path / "b.conf", "[imager]\nspool = /b\n[limits]\ntimeout = 30m\n")
    got = config.load(second, files=[first])
    assert (got.spool, got.tool, got.memory_bytes, got.timeout) == (Path("/b"), "mic", 2 * 2**30, 1800)
    assert got.processes == config.Config().processes


def test_a_tool_of_ones_own_can_be_described(tmp_path: Path) -> None:
    got = config.load(write(tmp_path / "c", "[imager]\ntool=kiwi\n[tool kiwi]\ncommand = /usr/bin/kiwi 'a b'\n"))
    assert got.commands["kiwi"] == ("/usr/bin/kiwi", "a b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[imager]\nspol = /a\n", "did you mean spool"),
        ("[limit]\n", "did you mean limits"),
        ("[imager]\nspool = relative\n", "absolute"),
        ("[imager]\nexecutor = root\n", "not one of auto, direct, sudo"),
        ("[limits]\nmemory = much\n", "not a size"),
        ("[limits]\ntimeout = soon\n", "not a duration"),
        ("[limits]\nprocesses = x\n", "processes"),
        ("[tool x]\n", "one option, command"),
        ("[tool x]\ncommand = 'open\n", "command"),
        ("[imager]\ntool = mci\n", "not known"),
        ("no section\n", "cannot be read"),
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


def test_the_shipped_file_names_every_option() -> None:
    text = (Path(__file__).parents[2] / "conf/imager.conf").read_text()
    shipped = configparser.ConfigParser()
    shipped.read_string(
        "\n".join(
            line.removeprefix("#") if "=" in line or line.startswith("#[") else line for line in text.splitlines()
        )
    )
    for section, options in config._OPTIONS.items():
        assert set(shipped[section]) == set(options)
