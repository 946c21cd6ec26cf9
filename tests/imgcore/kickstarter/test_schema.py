# SPDX-License-Identifier: GPL-2.0-or-later
"""The schemas that ship, and their check: the same verdict as a validator of JSON Schema, with places."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.kickstarter import schema
from imgcore.kickstarter.__main__ import table
from imgcore.kickstarter.mistakes import KickstarterError, Notes
from imgcore.kickstarter.tree import parse

#: What `check` carries out, and what says nothing about a value.
_CARRIED_OUT = {
    "$ref", "type", "properties", "patternProperties", "additionalProperties", "required", "items", "pattern",
    "maxLength", "minimum", "maximum", "format",
}  # fmt: skip
_SAYS_NOTHING = {"$schema", "$defs", "title", "description", "default", "anyOf"}


def told(text: str, dialect: str = "mer", kind: str = "document") -> list[str]:
    notes = Notes()
    node = parse(text, "f.yaml", notes)
    assert node is not None
    with contextlib.suppress(KickstarterError):
        schema.check(node, dialect, kind, notes)
    return [str(each) for each in notes.mistakes]


def schemas(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema within one."""
    yield value
    for key in ("properties", "patternProperties", "$defs"):
        for each in value.get(key, {}).values():
            yield from schemas(each)
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            yield from schemas(value[key])


@pytest.mark.parametrize("dialect", schema.DIALECTS)
def test_a_schema_is_one_and_says_nothing_that_the_check_does_not_carry_out(dialect: str) -> None:
    found = json.loads(schema.text(dialect))
    jsonschema.Draft202012Validator.check_schema(found)
    for each in schemas(found):
        assert set(each) <= _CARRIED_OUT | _SAYS_NOTHING
        assert "anyOf" not in each or "$defs" in each


_FIELDS = sorted(
    {key for each in schema.DIALECTS for key in schema.load(each)["$defs"]["configuration"]["properties"]}
)
_LINES = st.text("ab @%-_.\n\t0", max_size=6)
_VALUES = (
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(0, 9) | _LINES
    | st.lists(_LINES | st.none(), max_size=3) | st.dictionaries(_LINES, _LINES, max_size=2)
)  # fmt: skip
_SECTIONS = st.dictionaries(st.sampled_from([*_FIELDS, "Nmae"]), _VALUES, max_size=4)
_REPOSITORIES = st.dictionaries(st.sampled_from(["Name", "Url", "Url-rnd", "Options", "Uri"]), _VALUES, max_size=3)
_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "Default": _SECTIONS,
        "Base": _SECTIONS | _VALUES,
        "Configurations": st.lists(_SECTIONS, max_size=2) | _VALUES,
        "Repositories": st.lists(_REPOSITORIES, max_size=2) | _VALUES,
        "ExternalConfigs": _VALUES,
        "RepositoryURLVariables": _VALUES,
    },
)


@pytest.mark.parametrize("dialect", schema.DIALECTS)
@given(document=_DOCUMENTS)
def test_the_verdict_is_that_of_a_validator_of_json_schema(dialect: str, document: Any) -> None:
    law = {"$ref": "#/$defs/document", "$defs": schema.load(dialect)["$defs"]}
    expected = jsonschema.Draft202012Validator(law).is_valid(document)
    assert (told(json.dumps(document), dialect) == []) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Base:\n  Langauge: en\n", ["f.yaml:2:3: error: Langauge: there is no such key (did you mean Language?)"]),
        ("Base:\n  Groups: one\n", ["f.yaml:2:11: error: Groups: one is not a list"]),
        ("Base:\n  Kernel: [a]\n", ["f.yaml:2:11: error: Kernel: a list is not text or a number"]),
        ("Base:\n  Keyboard: no\n", ["f.yaml:2:13: error: Keyboard: no is not text or a number "
                                             "(put it into quotation marks)"]),
        ("Base:\n  Active: maybe\n", ["f.yaml:2:11: error: Active: maybe is not true or false"]),
        ("Base:\n  PartSize: 1.5G\n", ["f.yaml:2:13: error: PartSize: 1.5G is not a whole number of MiB"]),
        ("Base:\n  PartSize: 0\n", ["f.yaml:2:13: error: PartSize: 0 is not from 1 to 999999999"]),
        ("Configuration:\n  - Name: a\n", ["f.yaml:1:1: error: Configuration: a list is not a mapping, and there is "
                                            "no such key (did you mean Configurations?)"]),
        ("Configurations:\n  - FileName: a\n", ["f.yaml:2:5: error: Configurations: Name is missing"]),
        ("Repositories:\n  - {Name: a, Url: a b}\n", ["f.yaml:2:20: error: Url: a b is not a URL without blanks"]),
        ('Base: {RootPass: "a\\nb"}\n', ["f.yaml:1:18: error: RootPass: the password is not a line of text"]),
        ("Base:\n  Lang: en\n  Desk: x\n", ["f.yaml:2:3: error: Lang: there is no such key (did you mean Language?)",
                                            "f.yaml:3:3: error: Desk: there is no such key (did you mean Desktop?)"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_column_key_and_the_nearest_key(text: str, said: list[str]) -> None:
    assert told(text) == said


def test_a_key_of_the_other_dialect_is_told() -> None:
    assert told("Base: {Platform: a}") == ["f.yaml:1:8: error: Platform: there is no such key"]
    assert told("Base: {ImageType: a}", "meego")[0].startswith("f.yaml:1:8: error: ImageType: there is no such key")


def test_the_table_of_the_documentation_is_that_of_the_schemas() -> None:
    page = (Path(__file__).parents[3] / "docs/kickstarter.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- table: python -m imgcore.kickstarter -->\n")
    assert rest.partition("\n<!-- end -->")[0].splitlines() == list(table())
