# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.kickstart.decode import decode, encode

ENCODED = {
    "ascii": b"lang C\r\n",
    "utf-8": "# größe\n".encode(),
    "utf-8 with a mark": b"\xef\xbb\xbflang C\n",
    "latin-1": b"# caf\xe9\n",
    "both": "# größe\n".encode() + b"# caf\xe9\n",
    "a mark before latin-1": b"\xef\xbb\xbf# caf\xe9\n",
}


@pytest.mark.parametrize("content", ENCODED.values(), ids=ENCODED)
def test_what_is_added_leaves_all_other_bytes_as_they_are(content: bytes) -> None:
    assert encode(decode(content, "x") + "# new\n", content, "x") == content + b"# new\n"


@settings(deadline=None)
@given(st.binary(max_size=200).filter(lambda each: b"\0" not in each and each[:2] not in (b"\xff\xfe", b"\xfe\xff")))
def test_any_bytes_that_are_read_are_written_again(content: bytes) -> None:
    assert encode(decode(content, "x"), content, "x") == content


def test_what_the_encoding_has_not_got_is_told() -> None:
    with pytest.raises(InputError, match=r"x is not UTF-8, and 'ł' cannot be written into it \(save it as UTF-8"):
        encode("ł", b"\xe9", "x")
    assert encode("ł", b"", "x") == "ł".encode()
