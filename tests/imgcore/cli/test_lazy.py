# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/lazy.py: what `img` does where a package that a command needs is not installed."""

from __future__ import annotations

import sys

import pytest

import imgcore.report
from imgcore.cli import main


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each == "imgcore.cli.report" or each.startswith("imgcore.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "imgcore.report", None)
    # A package keeps its modules as attributes too, where another test has imported them.
    monkeypatch.delattr(imgcore, "report", raising=False)


@pytest.mark.usefixtures("without_report")
def test_a_command_whose_part_is_not_installed_is_listed_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = capsys.readouterr().out
    assert "  build " in told
    assert any(line.split() == ["report", "(not", "installed)"] for line in told.splitlines())
    with pytest.raises(SystemExit, match="1"):
        main(["report", "--outdir", "/x", "--help"])
    said = capsys.readouterr().err
    assert said.startswith("img: this part is not installed: ")
    assert said.endswith("(the package imager has all parts)\n")
    assert said.count("\n") == 1
