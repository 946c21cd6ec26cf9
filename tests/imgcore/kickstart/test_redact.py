# SPDX-License-Identifier: GPL-2.0-or-later
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.kickstart import redact


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rootpw secret", "rootpw ***"),
        ("rootpw --plaintext 'se cret'  # c", "rootpw --plaintext ***  # c"),
        ("  rootpw secret --lock", "  rootpw *** --lock"),
        ("#rootpw secret", "#rootpw ***"),
        ("# rootpw secret", "# rootpw ***"),
        ("rootpw --iscrypted $6$salt$hash", "rootpw --iscrypted $6$salt$hash"),
        ("user --name=a --password=secret --groups=b", "user --name=a --password=*** --groups=b"),
        ("user --password secret --name=a", "user --password *** --name=a"),
        ('user --password="se cret" --name=a', "user --password=*** --name=a"),
        ("user --pass=secret --name=a", "user --pass=*** --name=a"),
        ("user --name=a --iscrypted --password=$6$x", "user --name=a --iscrypted --password=$6$x"),
        ("sshpw --username=root secret --plaintext", "sshpw --username=root *** --plaintext"),
        ("sshpw --username root secret", "sshpw --username root ***"),
        ("bootloader --password=secret", "bootloader --password=***"),
        ("part / --encrypted --passphrase=secret", "part / --encrypted --passphrase=***"),
        ("network --wpakey=secret --essid=x", "network --wpakey=*** --essid=x"),
        ("repo --name=a --proxyuser=u --proxypasswd=secret", "repo --name=a --proxyuser=u --proxypasswd=***"),
        ("repo --name=a --baseurl=https://me:secret@x.org/a@b/", "repo --name=a --baseurl=https://***@x.org/a@b/"),
        ("repo --name=a --baseurl=https://me:se@cret@x.org/", "repo --name=a --baseurl=https://***@x.org/"),
        ("repo --name=a --baseurl=https://token@x.org/", "repo --name=a --baseurl=https://***@x.org/"),
        ("user --name=a --password=secret # was --iscrypted", "user --name=a --password=*** # was --iscrypted"),
        ("rootpw secret # --iscrypted later", "rootpw *** # --iscrypted later"),
        ("rootpw secret --lock# --iscrypted", "rootpw *** --lock# --iscrypted"),
        ("rootpw --iscrypted $6$x # rootpw secret", "rootpw --iscrypted $6$x # rootpw ***"),
        ("rootpw sec#ret", "rootpw ***"),
        ("# --password=secret", "# --password=***"),
        ("user '--iscrypted' --password=$6$x", "user '--iscrypted' --password=$6$x"),
        ('user --name=a "--password=secret"', "user --name=a --password=***"),
        ('user --name=a "--password" secret', 'user --name=a "--password" ***'),
        ("user --name=a --pass''word=secret", "user --name=a --password=***"),
        ("user --name=a --pass\\word=secret", "user --name=a --password=***"),
        ('"rootpw" secret', '"rootpw" ***'),
        ("root\\pw secret", "root\\pw ***"),
        ("rootpw sec\\ ret", "rootpw ***"),
        (r'user --password="sec\"ret x" --name=a', "user --password=*** --name=a"),
        (r'user --password="sec\\" --name=a', "user --password=*** --name=a"),
        ('user --password="sec ret', "user --password=***"),
        ('rootpw "sec ret', "rootpw ***"),
        ("keyboard us# Root password", "keyboard us# Root password"),
        ("timezone --utc UTC", "timezone --utc UTC"),
        ("repo --name=a --baseurl=http://x.org/@RELEASE@/", "repo --name=a --baseurl=http://x.org/@RELEASE@/"),
    ],
)
def test_secrets_of_commands_are_masked_and_nothing_else(line: str, expected: str) -> None:
    assert redact(line) == expected
    assert redact(f"{line}\r\nlang en\n") == f"{expected}\r\nlang en\n"


def test_in_scripts_only_urls_are_changed() -> None:
    text = "%post\ncurl https://me:secret@x/y\nrootpw x\nuser --password=y\n%end\n"
    assert redact(text) == "%post\ncurl https://***@x/y\nrootpw x\nuser --password=y\n%end\n"


_SECRET = st.text(alphabet=st.sampled_from("abcXYZ0189 #=-'\"$&"), min_size=6, max_size=20).filter(
    lambda text: text.strip() == text and not text.startswith("-")
)


@settings(deadline=None, max_examples=300)
@given(_SECRET, st.sampled_from(["rootpw {}", "user --name=a --password {}", "user --password={} --name=a"]))
def test_no_quoted_password_survives(secret: str, form: str) -> None:
    assert secret not in redact(form.format(shlex.quote(f"QQ{secret}QQ")))


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:/@ \n\r'\"-=%#"), max_size=200))
def test_redacting_twice_is_as_once_and_keeps_the_lines(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    assert once.count("\n") == text.count("\n")
