# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that whatever is given, everything that reads or changes a kickstart ends, soon and within bounds.

The bounds of time are wide: they tell linear from quadratic on a machine that has other things to do.
"""

import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.kickstart import Changes, change, decode, redact, redact_diff
from imgcore.kickstart.compare import differences
from imgcore.kickstart.convert import convert
from imgcore.kickstart.describe import as_text, as_values
from imgcore.kickstart.examine import examine
from imgcore.kickstart.read import read_all
from imgcore.kickstart.versions import dialect

SECONDS = 30
CHANGES = Changes(
    packages=["a"], extra_repos=["http://e/"], exclude=["zz"], commands=["lang de"], sections=["%post\nx"],
    remove=["b"], remove_commands=["text"], tokens={"A": "b"},
)  # fmt: skip


def described(content: bytes) -> None:
    as_text(as_values(read_all(content, "x").kickstart))


def compared(content: bytes) -> None:
    differences(read_all(content, "x").kickstart, read_all(content[: len(content) // 2], "x").kickstart)


DOERS: list[Callable[[bytes], object]] = [
    lambda content: examine(content, "x.ks"),
    lambda content: redact_diff(change(decode(content, "x"), CHANGES).diff),
    lambda content: convert(decode(content, "x"), "x", dialect("rhel9")),
    lambda content: redact(decode(content, "x")),
    described,
    compared,
]


def survive(content: bytes) -> None:
    for doer in DOERS:
        try:
            doer(content)
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"#" * 10_000_000,
        b"lang " + b"x" * 8_000_000,
        b"lang en\n" * 1_000_000,
        b"%packages\n" + b"".join(b"p%d\n" % number for number in range(190_000)),
        b"%packages\n" + b"vim\n" * 190_000,
        b"".join(b"cmd%d x\n" % number for number in range(5000)),
        b"".join(b"logging --level=info --host=h%d\n" % number for number in range(4000)),
        b"".join(b"part /m%d --size=%d\n" % (number, number) for number in range(4000)),
        b"".join(b"repo --name=r%d --baseurl=http://x/%d\n" % (number, number) for number in range(4000)),
        b"%post\n%end\n" * 50_000 + b"%post\nif\n%end\n" * 1000,
        b"%addon x\n%end\n" * 90_000,
        b"%post\n" + b"".join(b"cat <<E%d\n" % number for number in range(100_000)),
        b"%post\ncat " + b"<<E " * 300_000,
        b"lang " + b"'" * 60_000,
        b"lang " + b"@A@" * 20_000 + b"\n%post\n" + b"@A@ " * 500_000,
        b"%post\nhttp://" + b"@" * 2_000_000,
        b"rootpw " + b"\"'" * 30_000,
        b"rootpw " + b'"\\ ' * 500_000,
        b"user " + b"--a''=b# " * 200_000,
        b"# " * 1_000_000,
        b"lang en" + b" " * 4_000_000,
        b"%post\n" + b"(" * 500_000,
        b"%post\n" + b"if true; then\n" * 50_000,
        b"%post\n" + b"$(" * 200_000,
        b"%include x\n" * 20_000,
        b"%packages\n" + b"@" * 4000 + b"\n-" * 4000,
        b"repo --name=" + b"a" * 60_000 + b" --baseurl=" + b"@A@" * 1000,
    ],
    ids=lambda content: f"{content[:18]!r}…{len(content)}",
)
def test_a_large_or_deep_kickstart_ends_within_its_bounds(content: bytes) -> None:
    for doer in DOERS:
        began = time.process_time()
        try:
            doer(content)
        except InputError as error:
            assert "\n" not in str(error)
        assert time.process_time() - began < SECONDS


_WORDS = r"""
part / --size=1 --size x repo --name=a --baseurl=http://x -- %packages %end %post %pack ' " \ # = -vim @A@ @core <<E E
%include x.ks bootloader --menus= user network --device=a rootpw --iscrypted btrfs -*-mic2-options-*- autopart %addon
desktop raid logvol ü
"""
_PIECES = st.sampled_from([*_WORDS.split(), *("\n", "\n", "\n", "\r\n", " ", "\t", "\x00", "\x1b[31m", "\u202e")])
_TEXTS = st.one_of(
    st.lists(_PIECES, max_size=40).map(" ".join),
    st.lists(_PIECES, max_size=40).map("".join),
    st.text(max_size=200),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_text_is_read_shown_changed_and_converted_or_refused(content: bytes) -> None:
    survive(content)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    survive(content)


@settings(deadline=None, max_examples=150)
@given(_TEXTS)
def test_what_was_not_asked_for_stays_byte_for_byte(text: str) -> None:
    try:
        assert change(text, Changes()).text == text
    except InputError:
        return
    assert change(text, Changes()).diff == ""
