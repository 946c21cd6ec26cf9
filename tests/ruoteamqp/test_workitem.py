"""Proves RuoteAMQP/workitem.py."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from RuoteAMQP import DictAttrProxy, Workitem

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_nothing_is_lost_on_the_way_through(content: dict[str, object]) -> None:
    assert json.loads(Workitem(json.dumps(content)).dump()) == content


def test_a_missing_field_reads_as_none_and_a_nested_one_as_attributes() -> None:
    item = Workitem({"fields": {"image": {"name": "n", "deep": {"x": 1}}}})
    assert item.fields.image.deep.x == 1
    assert item.fields.image.nothing is None
    assert item.fields.nothing is None


def test_a_change_through_an_attribute_reaches_the_workitem() -> None:
    item = Workitem({"fields": {"image": {}}})
    item.fields.image.result = DictAttrProxy({"a": 1})
    assert item.to_h() == {"fields": {"image": {"result": {"a": 1}}}}


def test_set_field_makes_the_dictionaries_on_the_way_and_lookup_finds_it() -> None:
    item = Workitem("{}")
    item.set_field("image.artifacts", [{"name": "x"}])
    assert item.lookup("image.artifacts.0").name == "x"
    assert item.lookup("image.artifacts.7") is None
    assert item.lookup("image.name.more") is None


def test_a_copy_is_independent() -> None:
    item = Workitem({"fields": {"image": {"name": "a"}}})
    other = item.dup()
    other.fields.image.name = "b"
    assert item.fields.image.name == "a"


def test_the_step_is_identified_even_where_the_identity_is_useless() -> None:
    assert str(Workitem({"fei": {"wfid": "w", "subid": "s", "expid": "0_1"}}).fei) == "w!s!0_1"
    assert Workitem({"fei": "#<Ruote::HashWrapper>"}).wfid == ""


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"'])
def test_json_that_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON object"):
        Workitem(text)


def test_forget_and_result_are_where_the_engine_looks() -> None:
    item = Workitem({"fields": {"params": {"forget": True}}})
    item.result = False
    assert item.forget is True
    assert item.to_h()["fields"]["__result__"] is False
