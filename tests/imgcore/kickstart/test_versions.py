# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/versions.py: which dialect a kickstart is written in."""

import pytest

from imgcore.errors import InputError
from imgcore.kickstart.read import read_all
from imgcore.kickstart.versions import Recognised, dialect, dialects, recognise


def recognised(text: str) -> Recognised:
    return recognise(read_all(text.encode(), "x.ks").kickstart)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lang en\npart / --size=3\n", "fedora"),
        ("repo --name=a --baseurl=http://x --ssl_verify=no\n", "mic"),
        ("lang en\ndesktop --autologinuser=me\n", "mic"),
        ("lang en\n%attachment\n%end\n", "mic"),
        ("# -*-mic2-options-*- -f raw -*-mic2-options-*-\nlang en\n", "mic"),
        ("lang en\ninstall\n", "f33"),
        ("lang en\nmouse genericps/2\nlangsupport en\n", "fc6"),
        ("lang en\nauthconfig --enableshadow\n", "f34"),
    ],
)
def test_the_dialect_is_recognised(text: str, name: str) -> None:
    found = recognised(text)
    assert (found.dialect.name, found.refused) == (name, ())


def test_of_a_mixture_the_closest_is_told_with_what_it_refuses() -> None:
    found = recognised("lang en\nmouse genericps/2\nrdp\nauthselect x\n")
    assert found.dialect.name == "fedora"
    assert [str(each) for each in found.refused] == ["x.ks, line 2: command mouse is none of fedora"]


@pytest.mark.parametrize(
    ("given", "name"), [("RHEL9", "rhel9"), ("centos9", "rhel9"), ("F41", "f41"), ("mic", "mic")]
)
def test_a_dialect_is_found_by_its_name(given: str, name: str) -> None:
    assert dialect(given).name == name


@pytest.mark.parametrize("given", ["fedroa", "rhel99", "", "x" * 10000])
def test_a_name_that_is_none_is_told(given: str) -> None:
    with pytest.raises(InputError, match="is not known"):
        dialect(given)


def test_what_a_dialect_has_not_got_is_refused_by_its_reader() -> None:
    found = read_all(b"desktop\nrepo --name=a --baseurl=x --save\n", "x.ks", reader=dialect("rhel9").reader()).found
    assert [each.what for each in found] == [
        "command desktop is none of rhel9",
        "unknown option --save of repo (did you mean --name?)",
    ]


def test_every_dialect_reads_what_all_have_in_common() -> None:
    for each in dialects():
        assert not read_all(b"lang en\nkeyboard us\nrootpw x\n", "x.ks", reader=each.reader()).found, each.name
