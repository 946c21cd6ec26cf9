# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from imgcore.report import kickstart


def shown(content: str) -> list[str]:
    return [line.text for line in kickstart.listing(content.encode()).lines]


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("rootpw secret", "rootpw •••"),
        ("rootpw --iscrypted $6$a$b", "rootpw --iscrypted •••"),
        ("  ROOTPW --plaintext 'two words'", "  ROOTPW --plaintext ••• •••"),
        ("user --name=u --password=x --uid=5", "user --name=u --password=••• --uid=5"),
        ('user --name=u --password "x y" --uid=5', "user --name=u --password ••• --uid=5"),
        ("repo --name=r --proxypasswd=x", "repo --name=r --proxypasswd=•••"),
        ("part / --passphrase=x --size=1", "part / --passphrase=••• --size=1"),
    ],
)
def test_passwords_are_masked(line: str, masked: str) -> None:
    assert shown(line) == [masked]
    assert kickstart.listing(line.encode()).masked


def test_what_is_no_password_stays_as_it_is() -> None:
    lines = ["# rootpw is set below", "rootpw --lock", "echo password", "%post --log=/root/p"]
    assert shown("\n".join(lines)) == lines
    assert not kickstart.listing("\n".join(lines).encode()).masked


def test_comments_sections_and_inclusions_are_told_apart() -> None:
    listed = kickstart.listing(b"# c\r\n%packages\r\n%end\r\n%include x\r\npart /\r\n")
    assert [(line.number, line.kind) for line in listed.lines] == [
        (1, "comment"), (2, "section"), (3, "section"), (4, "include"), (5, ""),
    ]  # fmt: skip


def test_the_line_that_a_failure_names_is_shown_with_its_neighbours() -> None:
    listed = kickstart.listing(b"a\nb\nc\nd\n", 3)
    assert [(line.text, line.blamed) for line in listed.excerpt] == [("b", False), ("c", True), ("d", False)]
    assert kickstart.listing(b"a\n", 5).excerpt == ()


def test_junk_and_length_are_bounded() -> None:
    listed = kickstart.listing(b"\x00\xff" * 4000 + b"\n" + b"x\n" * 5000)
    assert listed.total == 5001
    assert len(listed.lines) == kickstart.SHOWN
    assert len(listed.lines[0].text) < 1100
