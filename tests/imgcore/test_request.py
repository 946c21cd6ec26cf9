# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/request.py."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.request import image_fields, image_of, parse

GOOD = {"kickstart": "lang C\n", "name": "n", "arch": "x86_64", "image_type": "raw"}


def test_a_request_has_what_was_asked_for() -> None:
    request = parse(
        {**GOOD, "tokenmap": "A:1,B:x:y", "extra_opts": ["--copy-kernel"], "packages": '["p"]', "timeout": 5}
    )
    assert request.tokenmap == {"A": "1", "B": "x:y"}
    assert request.extra_opts == ("--copy-kernel",)
    assert request.packages == ("p",)
    job = request.job("id")
    assert (job.image_id, job.name, job.tokenmap, job.timeout) == ("id", "n", {"A": "1", "B": "x:y"}, 5)
    order = request.order("id", 77)
    assert (order.kickstart, order.kickstart_name, order.source_date_epoch) == (b"lang C\n", "n.ks", 77)


@pytest.mark.parametrize("missing", ["kickstart", "name", "arch", "image_type"])
def test_what_is_mandatory_is_named(missing: str) -> None:
    with pytest.raises(InputError, match=f"field {missing}"):
        parse({key: value for key, value in GOOD.items() if key != missing})


HOSTILE = [
    "../x",
    "a/b",
    "-rf",
    "a\nb",
    "x" * 300,
    "<b>",
    "a;b",
    "$(x)",
    "",
    "a\0b",
    "\u202eabc",
    ".",
    "..",
    " ",
    7,
    [],
    {},
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["name", "arch", "image_type", "image_id", "prefix", "user"])
def test_a_hostile_name_is_refused_in_one_line(field: str, value: Any) -> None:
    if (field, value) in (("prefix", "a/b"), ("user", 7)) or (field in ("image_id", "prefix", "user") and not value):
        return
    with pytest.raises(InputError) as caught:
        parse({**GOOD, field: value})
    assert field in str(caught.value)
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "option",
    ["--outdir=/etc", "-o", "--logfile=/x", "--config=/x", "-k", "--cachedir=/x", "--pack-to=../x", "--pack-to=/x",
     "--pack-to=-x", "x", "", "--copy-kernel\n--outdir=/x", "--tokenmap=A:B", "--arch=arm", "--unknown"],
)  # fmt: skip
def test_an_option_that_could_redirect_anything_is_refused(option: str) -> None:
    with pytest.raises(InputError, match="extra_opts"):
        parse({**GOOD, "extra_opts": [option]})


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", -1), ("timeout", Decimal("1.00000000000000000001")), ("source_date_epoch", Decimal(10) ** 400),
     ("timeout", "soon"), ("timeout", True), ("timeout", float("nan")), ("source_date_epoch", -5),
     ("source_date_epoch", "x"), ("packages", 5), ("packages", ["-x"]), ("groups", ["a\nb"]), ("tokenmap", "novalue"),
     ("tokenmap", {"A": "x\ny"}), ("extra_repos", [{}]), ("tags", ["<b>"]), ("kickstart", 5),
     ("kickstart", "x" * (9 << 20))],
)  # fmt: skip
def test_any_other_field_that_cannot_be_used_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field):
        parse({**GOOD, field: value})


@given(st.dictionaries(st.sampled_from([*GOOD, "prefix", "tokenmap", "extra_opts", "packages", "timeout", "user"]),
                       st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
                       ))  # fmt: skip
def test_no_value_whatever_breaks_it(image: dict[str, Any]) -> None:
    try:
        request = parse({**GOOD, **image})
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert "/" not in request.name and not request.name.startswith((".", "-"))


def test_fields_are_found_below_image_and_flat() -> None:
    assert image_of({"image": {"name": "a"}}) == {"name": "a"}
    assert image_of({"name": "a"}) == {"name": "a"}
    assert image_of({"image": "text", "name": "a"})["name"] == "a"


def test_half_a_character_in_a_kickstart_is_refused_and_a_byte_that_is_no_text_survives() -> None:
    with pytest.raises(InputError, match="field kickstart: character 5"):
        parse({**GOOD, "kickstart": "lang \ud800"})
    assert parse({**GOOD, "kickstart": "lang \udcff"}).order("id", 1).kickstart == b"lang \xff"


def test_what_a_record_has_is_asked_for_again_in_the_same_words() -> None:
    asked = parse(
        {
            **GOOD, "image_id": "id", "prefix": "a/b", "tokenmap": "A:1", "extra_opts": ["--shrink"],
            "packages": ["p"], "groups": ["g"], "extra_repos": ["http://r/"], "tags": ["t"], "release": "1",
            "emails": "a@b.org,c@d.org",
            "devicegroup": "x", "queue": "q/r", "priority": "high", "user": "me", "timeout": 7.5,
            "source_date_epoch": 9, "kickstart": "lang \udcff",
        }
    )  # fmt: skip
    assert parse(image_fields(asked.job("id"), b"lang \xff")) == asked


@pytest.mark.parametrize("value", [5, ["a b\n"], ["<x>"], "a@b.org,<x>", ["a@b.org"] * 51, {"a": 1}])
def test_addresses_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(InputError):
        parse({**GOOD, "emails": value})
