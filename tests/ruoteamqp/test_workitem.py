# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves RuoteAMQP/workitem.py."""

import json
import subprocess
import sys
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from RuoteAMQP import DictAttrProxy, Workitem

# A lone surrogate can only be escaped; two that follow each other would be one character, so none follows another.
texts = st.text() | st.text(st.characters(categories=["Cs"]), max_size=1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**60), max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def exactly(text: str | bytes) -> object:
    """What JSON text says, in a form where 1 is not 1.0, order counts and every number is exact."""
    return json.loads(
        text,
        object_pairs_hook=list,
        parse_float=lambda number: ("float", Decimal(number).as_tuple().sign, Decimal(number)),
        parse_int=lambda number: ("int", Decimal(number)),
    )


@given(st.dictionaries(texts, json_values), st.booleans())
def test_nothing_is_lost_on_the_way_through(content: dict[str, object], ascii_only: bool) -> None:
    text = json.dumps(content, ensure_ascii=ascii_only)
    for sent in (
        Workitem(text).encode(),
        Workitem(text).dup().encode(),
        Workitem(text.encode("utf-8", "surrogatepass")).encode(),
    ):
        assert exactly(sent) == exactly(text)


@pytest.mark.parametrize(
    "value",
    [
        "1e400", "-1.5e-400", "-0.0", "1.0", "1E5", "0.1000000000000000055511151231257827021181583404541015625",
        "9" * 5000, "-" + "9" * 5000, "1e-999999999", "123456789012345678901234567890.5", "5e-324",
        '"\\ud800"', '"\\udfff tail \\u2028\\u0000"', '"😀é\u202e"', "{}", "[]", '{"": {"": []}}',
        "[" * 400 + "]" * 400, '{"b": 1, "a": [1, {"d": 1, "c": 2}]}',
    ],
)  # fmt: skip
def test_what_is_unusual_comes_out_as_it_went_in(value: str) -> None:
    sent = Workitem(f'{{"fields": {{"x": {value}}}, "unknown": {value}}}').encode()
    assert exactly(sent) == exactly(f'{{"fields": {{"x": {value}}}, "unknown": {value}}}')


@pytest.mark.parametrize("number", ["1e400", "0.1000000000000000055511151231257827021181583404541015625"])
def test_a_number_beyond_a_float_is_a_number(number: str) -> None:
    item = Workitem(f'{{"fields": {{"x": {number}, "y": 0.1}}}}')
    assert item.fields.x == Decimal(number)
    assert type(item.fields.y) is float


def test_of_a_key_that_stands_twice_the_last_counts_as_for_the_engine() -> None:
    assert Workitem('{"a": 1, "a": 2}').encode() == b'{"a": 2}'


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": -Infinity}', "[" * 100_000, '{"a": 1e99999999999999999999}'])
def test_what_is_no_json_or_beyond_all_bounds_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|deeply|beyond"):
        Workitem(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), Decimal("NaN")])
def test_what_json_cannot_hold_is_never_written(value: object) -> None:
    item = Workitem("{}")
    item.fields.x = value
    with pytest.raises((ValueError, TypeError)):
        item.encode()


def test_bytes_with_a_mark_and_in_utf16_are_read() -> None:
    assert Workitem('{"a": "é"}'.encode("utf-8-sig")).to_h() == {"a": "é"}
    assert Workitem('{"a": "é"}'.encode("utf-16")).to_h() == {"a": "é"}


ERRORS: list[object] = [
    "text",
    "",
    {"class": "Ruote::Amqp::RemoteError", "message": "text", "trace": "one\ntwo"},
    {"class": "KeyError", "message": "text"},
    {"message": 5},
    {},
    {"class": "RuntimeError", "message": "text", "trace": ["a"], "more": 1},
    ["text"],
    5,
    False,
    ValueError("text"),
    ValueError(),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_has_a_shape_that_the_engine_survives_however_it_came_in(error: object) -> None:
    item = Workitem('{"fields": {}}')
    item.error = error
    put_in_by_hand = Workitem({"fields": {}, "error": error if not isinstance(error, Exception) else repr(error)})
    for sent in (json.loads(item.encode()), json.loads(put_in_by_hand.encode())):
        assert sent["error"]["class"] == "RuntimeError"
        assert isinstance(sent["error"]["message"], str)
        assert all(isinstance(line, str) for line in sent["error"]["trace"])


def test_an_error_keeps_what_it_says() -> None:
    item = Workitem('{"fields": {}}')
    item.error = {"class": "KeyError", "message": "text", "trace": "one\ntwo", "more": 1}
    assert item.error == {"class": "RuntimeError", "message": "KeyError: text", "trace": ["one", "two"], "more": 1}
    assert item.trace == ["one", "two"]
    item.error = None
    assert item.error is None
    assert item.to_h() == {"fields": {}}


def test_a_trace_reaches_the_error_whichever_is_set_first() -> None:
    before, after = Workitem('{"fields": {}}'), Workitem('{"fields": {}}')
    before.trace = ["a.py:1: in `f'"]
    before.error = "text"
    after.error = "text"
    after.trace = ["a.py:1: in `f'"]
    assert before.error == after.error == {"class": "RuntimeError", "message": "text", "trace": ["a.py:1: in `f'"]}


def test_an_exception_says_where_it_arose_innermost_first() -> None:
    def inner() -> None:
        raise KeyError("x")

    item = Workitem("{}")
    try:
        inner()
    except KeyError as error:
        item.error = error
    assert [line.rpartition("in ")[2] for line in item.trace] == [
        "`inner'",
        "`test_an_exception_says_where_it_arose_innermost_first'",
    ]


def test_a_cancel_is_one_only_without_fields() -> None:
    assert Workitem('{"cancel": true, "fei": "#<Ruote::HashWrapper:0x0>", "flavour": null}').is_cancel
    assert not Workitem('{"cancel": true, "fields": {}}').is_cancel
    assert not Workitem('{"cancel": false}').is_cancel


def test_what_the_engine_tells_about_the_step_is_read() -> None:
    item = Workitem(
        '{"fei": {"wfid": "w", "subid": "s", "expid": "0_1"}, "wf_name": "first", "participant_name": "p",'
        ' "fields": {"__timed_out__": [1], "dispatched_at": "now"}}'
    )
    assert (item.sid, item.wf_name, item.participant_name) == ("0_1!s!w", "first", "p")
    assert (item.timed_out, item.dispatched_at, item.fei["wfid"]) == ([1], "now", "w")
    empty = Workitem("{}")
    assert (empty.timed_out, empty.wf_name, empty.sid) == (None, "", "!!")
    assert empty.to_h() == {}


def test_forget_may_be_set_and_fields_replaced() -> None:
    item = Workitem("{}")
    item.forget = True
    assert item.to_h() == {"fields": {"params": {"forget": True}}}
    item.fields = {"a": 1}
    assert item.fields.a == 1


def test_fields_with_the_names_of_dictionary_methods_are_fields() -> None:
    proxy = Workitem('{"fields": {"items": [1], "get": {"a": 1}, "update": null}}').fields
    assert proxy.items == [1]
    assert proxy.get.a == 1
    assert proxy.update is None
    assert list(proxy.keys()) == ["items", "get", "update"]
    assert proxy == {"items": [1], "get": {"a": 1}, "update": None}
    assert DictAttrProxy({"a": 1}).get("b", 2) == 2


def test_a_proxy_inside_of_lists_travels() -> None:
    item = Workitem("{}")
    item.fields.all = [DictAttrProxy({"a": 1}), (1, 2)]
    assert item.encode() == b'{"fields": {"all": [{"a": 1}, [1, 2]]}}'


def test_a_workitem_needs_no_pika() -> None:
    code = "import sys, RuoteAMQP; RuoteAMQP.Workitem('{}'); sys.exit('pika' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def test_what_was_added_to_an_exception_is_told_too() -> None:
    error = ValueError("line 1: no such option")
    error.add_note("line 7: no such command")
    item = Workitem({"fields": {}})
    item.error = error
    assert item.error["message"] == "ValueError: line 1: no such option\nline 7: no such command"


def test_numbers_that_no_float_holds_cost_in_proportion_to_their_count() -> None:
    text = '{"fields": {"x": [' + ", ".join(["0.10000000000000000001"] * 40_000) + "]}}"
    began = time.monotonic()
    assert Workitem(text).dump() == text
    # Half a minute, where each was looked for in the whole text.
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", [["RuntimeError"], {"a": 1}, 7, None])
def test_an_error_with_a_class_that_is_no_text_is_told_all_the_same(kind: object) -> None:
    item = Workitem({"fields": {}})
    item.error = {"class": kind, "message": "m"}
    assert (item.error["class"], item.error["message"]) == ("RuntimeError", "m")
