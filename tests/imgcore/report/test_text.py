# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.report import text


@given(st.text())
def test_visible_text_has_no_character_that_hides_or_breaks_and_can_be_encoded(content: str) -> None:
    shown = text.visible(content)
    shown.encode("utf-8")
    hidden = [each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each != "\t"]
    assert hidden == []
    assert not any(unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                   for each in shown)  # fmt: skip


@given(st.text(alphabet=st.characters(codec="utf-8", categories=("L", "N"))))
def test_words_of_every_language_stay_as_they_are(content: str) -> None:
    assert text.visible(content) == content


def test_control_characters_are_shown_as_escapes_that_every_font_has() -> None:
    assert text.visible("a\x00b\x1bc\nd\x7f\x9b") == r"a\x00b\x1bc\nd\x7f\x9b"


def test_text_that_would_reorder_its_surroundings_is_shown_by_name() -> None:
    assert text.visible("a\u202eexe.png\u2069") == "a[U+202E]exe.png[U+2069]"


def test_passwords_in_urls_are_masked_and_other_urls_are_not() -> None:
    assert text.visible("file://@REPO@") == "file://@REPO@"
    assert text.visible("x http://ann:s3cret@h/y z") == "x http://•••@h/y z"
    assert text.visible("http://h:80/a@b ann@h") == "http://h:80/a@b ann@h"


def test_a_text_without_end_is_cut_and_says_how_long_it_was() -> None:
    shown = text.visible("x" * 2_000_000)
    assert len(shown) < 10_000
    assert shown.endswith("… (2,000,000 characters)")


@pytest.mark.parametrize("url", ["http://h/a", "https://h:8/a?b#c", "ftp://h/", "file:///srv/a%20b", "HTTP://h/"])
def test_http_https_ftp_and_file_urls_become_links(url: str) -> None:
    assert text.link(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JavaScript://h/%0aalert(1)", " javascript:alert(1)", "java\nscript:alert(1)",
        "\x01javascript:alert(1)", "data:text/html,<b>", "vbscript:x", "//h/a", "/a", "a", "", "http:", "http:///a",
        "http://h/a b", "http://h/\u202ea", "http://h\\@evil/", "http://[::1", "http://ann:pw@h/",
        "http:javascript:x", "blob:http://h/x", "\udc80http://h/",
    ],
)  # fmt: skip
def test_nothing_else_becomes_a_link(url: str) -> None:
    assert text.link(url) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1288490188, "1.2 GiB"), (2**20 - 1, "1.0 MiB"),
        (10**30, "888178419700125.2 PiB"), (-5, "0 B"), (float("nan"), "0 B"), ("x", "0 B"), (None, "0 B"),
        (True, "0 B"),
    ],
)  # fmt: skip
def test_sizes_are_in_the_unit_that_suits(value: object, shown: str) -> None:
    assert text.size(value) == shown


def test_bytes_are_shown_to_the_last_one() -> None:
    assert text.bytes_exact(1288490188) == "1,288,490,188 bytes"
    assert text.bytes_exact(1) == "1 byte"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.004, "0.00 s"), (0.42, "0.42 s"), (9.999, "10.0 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"),
        (7620, "2 h 07 min"), (200000, "2 d 07 h"), (1e300, "over 30 years"),
        (float("inf"), "0.00 s"), (10**400, "0.00 s"),
    ],
)  # fmt: skip
def test_durations_are_in_the_units_that_suit(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_times_are_shown_as_utc_to_the_second() -> None:
    assert text.stamp("2025-11-24T06:59:12.123456Z") == text.Stamp("2025-11-24T06:59:12Z", "2025-11-24 06:59:12Z")
    assert text.stamp("2025-11-24T08:59:12+02:00").iso == "2025-11-24T06:59:12Z"
    assert text.stamp(datetime(33, 1, 2, tzinfo=UTC)).iso == "0033-01-02T00:00:00Z"


@pytest.mark.parametrize("value", ["yesterday", "", "0001-01-01T00:00:00+23:00", "9999-99-99T00:00:00Z"])
def test_what_is_no_time_is_shown_as_it_is(value: str) -> None:
    assert text.stamp(value) == text.Stamp("", value)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "5 s"), (22, "20 s"), (54, "55 s"), (55, "1 min"), (3000, "50 min"), (7000, "2 h")]
)
def test_what_is_to_come_is_told_roughly(seconds: float, said: str) -> None:
    assert text.rough(seconds) == said


@pytest.mark.parametrize(
    ("length", "said"), [(0, "0 B"), (1500, "1.5 KiB"), (45.4 * 2**30, "45 GiB"), (987 * 2**30, "980 GiB")]
)
def test_what_is_free_is_told_to_two_digits(length: float, said: str) -> None:
    assert text.rough_size(length) == said
