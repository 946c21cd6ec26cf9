# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/credentials.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore.credentials import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("get https://me:pw@host/x and ftp://a:b@c", "get https://***@host/x and ftp://***@c"),
        ("ssh://git@host/x", "ssh://***@host/x"),
        ("http://token@host", "http://***@host"),
        ("http://me:@host", "http://***@host"),
        ("http://:pw@host", "http://***@host"),
        ("http://me:p@s@host/", "http://***@host/"),
        ("http://me:p#s?s\"'<>@host/", "http://***@host/"),
        ("http://me:" + "p" * 5000 + "@host/", "http://***@host/"),
        ("a" * 100 + "https://me:pw@host", "a" * 100 + "https://***@host"),
        ("svn+ssh://me:pw@host, x@y", "svn+ssh://***@host, x@y"),
        ("http://@USER@:pw@host/", "http://***@host/"),
        ('repo --baseurl="file://@REPO@"', 'repo --baseurl="file://@REPO@"'),
        ("http://@HOST@:80/@RELEASE@/x", "http://@HOST@:80/@RELEASE@/x"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://host:80/x", "https://host:80/x"),
        ('"http://host" and "a@b"', '"http://host" and "a@b"'),
        ("a@b", "a@b"),
    ],
)
def test_what_stands_before_the_host_of_a_url_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


def test_the_mask_can_be_another() -> None:
    assert masked("http://me:pw@host/", "•••") == "http://•••@host/"
    assert masked("http://***@host/", "•••") == "http://•••@host/"


@given(st.text(alphabet=st.characters(exclude_characters="/", exclude_categories=["Z", "C"]), min_size=1))
def test_no_password_is_shown_whatever_it_has_in_it(password: str) -> None:
    assert masked(f"x http://me:{password}@host/y z") == "x http://***@host/y z"
