# SPDX-License-Identifier: GPL-2.0-or-later
"""A file beside a kickstart has the values of its tokens: imgcore/cli/tokens.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore.cli.tokens import beside
from imgcore.errors import InputError
from tests.support import small
from tests.support.img import Home


@pytest.fixture
def ks(tmp_path: Path) -> Path:
    return tmp_path / "phone.ks"


def test_a_line_is_a_token(ks: Path) -> None:
    Path(f"{ks}.tokens").write_text("# where\n\nREPO:http://a/b\n RELEASE:5.0\n")
    assert beside(ks) == {"REPO": "http://a/b", "RELEASE": "5.0"}


def test_without_the_file_there_are_none(ks: Path) -> None:
    assert beside(ks) == {} == beside(Path("-"))


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"A:1\nREPO\n", r"phone\.ks\.tokens, line 2: .*REPO"), (b"3:x\n", "line 1"), (b"\xff", "not UTF-8")],
)
def test_a_mistake_is_told_with_its_line(ks: Path, content: bytes, told: str) -> None:
    Path(f"{ks}.tokens").write_bytes(content)
    with pytest.raises(InputError, match=told):
        beside(ks)


@pytest.mark.real
def test_a_build_takes_them_and_the_command_line_wins(home: Home, repository: Path) -> None:
    ks = home.kickstart(small.kickstart(repository), "phone.ks")
    Path(f"{ks}.tokens").write_text("FLAVOUR:sour\nSIZE:large\n")
    done = home.img("build", ks, "--type=fs", "--tokenmap=SIZE:small", "--json")
    assert done.record["tokenmap"] == {"FLAVOUR": "sour", "SIZE": "small"}
