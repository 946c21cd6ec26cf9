# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves docs/operations.md: the lines of the log, and the words of `img fsck`, are those of the code."""

from __future__ import annotations

import re

from imgcore.jobs.fsck import KINDS
from tests.support import loglines, page
from tests.support.checkout import ROOT

PAGE = ROOT / "docs/operations.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the section's first table, without its head."""
    lines = [line for line in page.section(PAGE, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_line_of_the_log_that_is_explained_is_one_and_every_line_is_explained() -> None:
    explained = [line for (line, *_) in rows("What the log says")]
    assert all(re.fullmatch("`.+`", line) for line in explained)
    assert len(explained) == len(set(explained))
    assert {line.strip("`") for line in explained} == loglines.logged()


def test_what_is_wrong_with_a_spool_is_explained_in_the_words_of_img_fsck() -> None:
    assert {kind.strip("`"): said for kind, said in rows("Look whether all is well")} == KINDS
