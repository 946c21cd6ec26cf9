# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML to a tree with places: what safe_load reads, and nothing else, bounded."""

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from imgcore.kickstarter.mistakes import KickstarterError, Notes
from imgcore.kickstarter.tree import MOST_DEPTH, MOST_NODES, Node, parse


def read(text: str) -> tuple[Node | None, list[str]]:
    notes = Notes()
    try:
        node = parse(text, "f", notes)
    except KickstarterError:
        node = None
    return node, [str(each) for each in (*notes.mistakes, *notes.warnings)]


def plain(node: Node) -> Any:
    if node.kind == "object":
        return {key: plain(value) for key, value in node.entries.items()}
    if node.kind == "array":
        return [plain(each) for each in node.items]
    return yaml.safe_load(node.text) if node.kind in ("integer", "number", "boolean", "null") else node.text


def test_every_value_has_the_place_it_stands_at() -> None:
    node, told = read("Name: a\nGroups:\n  - one\n  - two\n")
    assert node is not None
    assert not told
    assert str(node.keys["Groups"]) == "f:2:1"
    assert str(node.entries["Name"].spot) == "f:1:7"
    assert [str(each.spot) for each in node.entries["Groups"].items] == ["f:3:5", "f:4:5"]


_WORDS = st.text(st.characters(categories=("L", "N")), max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_what_safe_load_reads_is_read_the_same(value: Any) -> None:
    node, told = read(yaml.safe_dump(value, allow_unicode=True))
    assert node is not None
    assert not told
    assert plain(node) == value


@given(st.text(max_size=200) | st.text("[]{}&*!%@:-,?#|>'\"\n \tab<~", max_size=200))
def test_any_text_is_read_or_a_mistake_is_told(text: str) -> None:
    node, told = read(text)
    assert node is not None or told or yaml.safe_load(text) is None


def test_a_merged_mapping_gives_what_is_not_there() -> None:
    node, told = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n")
    assert node is not None
    assert not told
    assert plain(node)["b"] == {"x": 1, "y": 3}
    assert plain(node)["c"] == {"x": 1, "y": 2, "z": 4}


def test_of_a_key_that_stands_twice_the_last_is_used_and_that_is_told() -> None:
    node, told = read("Active: True\nActive: False\n")
    assert node is not None
    assert node.entries["Active"].text == "False"
    assert told == ["f:2:1: warning: Active: it stands in line 1 already, and this one is used"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", ":1: error: this is not YAML"),
        ("a: b: c", "f:1:5: error: this is not YAML"),
        ("a: \x01", "f:1:4: error: this is not YAML: "),
        ("a: 1\n---\nb: 2\n", "f:2:1: error: a second document begins (a file has one)"),
        ("a: !!python/object/apply:os.system [ls]", "error: the tag !!python/object/apply:os.system is not read"),
        ("a: !mine x", "f:1:4: error: the tag !mine is not read (leave it out)"),
        ("a: *b", "f:1:4: error: *b stands for nothing (nothing is marked &b)"),
        ("a: &a [*a]", "f:1:8: error: *a is in what it stands for"),
        ("? [a]\n: b", "f:1:3: error: a key is a word"),
        ("a: {<<: b}", "error: << takes a mapping, or a list of some"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), f"error: more than {MOST_DEPTH} levels"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_told_with_its_place(text: str, said: str) -> None:
    assert any(said in each for each in read(text)[1])


def laughs(levels: int, opening: str = "[", closing: str = "]") -> str:
    lines = [f"a0: &a0 {opening}x{closing}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(laughs(12), id="aliases in aliases"),
        pytest.param("a: &a {x: 1}\n" + f"- <<: [{', '.join(['*a'] * 500)}]\n" * 300, id="not YAML"),
        pytest.param("- &a {x: 1}\n" + f"- <<: [{', '.join(['*a'] * 500)}]\n" * 300, id="merges"),
        pytest.param("[" * 1_000_000, id="open brackets"),
        pytest.param("- " * 300_000, id="open dashes"),
        pytest.param("{" * 500_000, id="open braces"),
        pytest.param("? " * 300_000, id="open keys"),
        pytest.param("a: &a [" + "*a, " * 100_000, id="aliases"),
        pytest.param("- x\n" * (MOST_NODES + 1), id="values"),
        pytest.param("&a " * 100_000, id="anchors"),
        pytest.param("\n".join(f"k: {n}" for n in range(60_000)), id="the same key"),
    ],
)  # fmt: skip
def test_hostile_text_is_refused_or_read_in_bounded_time(text: str) -> None:
    start = time.monotonic()
    _, told = read(text)
    assert told
    assert time.monotonic() - start < 60


def test_a_tree_counts_what_aliases_stand_for() -> None:
    node, told = read("a: &a [1, 2, 3]\nb: *a\n")
    assert node is not None
    assert not told
    assert node.size == 1 + 2 * (1 + 4)
