# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/edit.py, with the real `patch` and against difflib."""

import difflib
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.kickstart.document import lines_of
from imgcore.kickstart.edit import Edits

_ACTIONS = st.lists(st.tuples(st.sampled_from(["insert", "replace", "remove"]), st.integers(0, 30)), max_size=12)


def edited(text: str, actions: list[tuple[str, int]]) -> Edits:
    lines = lines_of(text, "")
    edits = Edits(lines)
    for number, (action, index) in enumerate(actions):
        if action == "insert":
            edits.insert(min(index, len(lines)), f"new {number}")
        elif index < len(lines):
            edits.remove(index) if action == "remove" else edits.replace(index, f"other {number}")
    return edits


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(["a", "b", ""]), max_size=30), _ACTIONS)
def test_the_diff_is_of_the_text_before_and_after(before: list[str], actions: list[tuple[str, int]]) -> None:
    text = "".join(f"{line}\n" for line in before)
    edits = edited(text, actions)
    restored = list(difflib.restore(_as_ndiff(edits.diff("x"), before), 2))
    assert restored == edits.text().split("\n")[:-1]


def _as_ndiff(diff: str, before: list[str]) -> list[str]:
    """The unified diff with the lines between its hunks, as difflib restores from."""
    lines, old = [], 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start, count = line.split()[1].removeprefix("-").split(",")
            upto = int(start) - (int(count) > 0)
            lines += [f"  {each}" for each in before[old:upto]]
            old = upto
        else:
            lines.append(f"{line[0]} {line[1:]}")
            old += line[0] != "+"
    return lines + [f"  {each}" for each in before[old:]]


def test_patch_takes_the_diff(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(40))
    edits = edited(text, [("insert", 3), ("remove", 20), ("replace", 22), ("insert", 40), ("remove", 0)])
    path = tmp_path / "x"
    path.write_text(text)
    subprocess.run(["patch", "-p1"], cwd=tmp_path, input=edits.diff("x").encode(), check=True, capture_output=True)
    assert path.read_text() == edits.text()


def test_what_is_not_touched_keeps_its_line_end_and_new_lines_get_that_of_the_line_before() -> None:
    edits = Edits(lines_of("a\r\nb\nc", ""))
    edits.insert(1, "x")
    edits.insert(2, "y")
    edits.insert(3, "z")
    assert edits.text() == "a\r\nx\r\nb\ny\nc\nz"


def test_no_edit_no_diff() -> None:
    edits = Edits(lines_of("a\nb\n", ""))
    edits.replace(0, "a")
    assert edits.diff("x") == ""
