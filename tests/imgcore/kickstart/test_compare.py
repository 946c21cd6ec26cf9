# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/compare.py: what differs by meaning."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.kickstart import read
from imgcore.kickstart.compare import differences

KS = """lang en
repo --name=a --baseurl=http://x/
part / --size=100
%packages --nocore
vim
@core
-ed
%end
%post
true
%end
%post --nochroot
false
%end
"""


def told(before: str, after: str) -> list[tuple[str, str, str, str]]:
    found = differences(read(before.encode(), "a"), read(after.encode(), "b"))
    return [(each.kind, each.what, each.before, each.after) for each in found]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lang en\nrepo --name=a --baseurl=http://x/", "repo --baseurl http://x/ --name a\n\n# c\nlang 'en'"),
        ("part / --size=100", "partition / --size=100"),
        ("vim\n@core", "@core\nvim\nvim"),
        ("lang en", "lang de\nlang en"),
    ],
)
def test_order_spelling_comments_and_repetition_do_not_matter(old: str, new: str) -> None:
    assert told(KS, KS.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("lang en", "lang de", ("command", "lang", "lang en", "lang de")),
        ("lang en", "lang en\nrootpw x", ("command", "rootpw", "", "rootpw ***")),
        ("--size=100", "--size=200", ("command", "part /", "part / --size=100", "part / --size=200")),
        ("vim\n", "", ("package", "vim", "listed", "")),
        ("vim\n", "-vim\n", ("package", "vim", "listed", "excluded")),
        ("@core", "@core --optional", ("package", "@core", "listed", "listed (all)")),
        (" --nocore", "", ("packages", "--nocore", "given", "")),
        ("false", "exit 1", ("script", "%post 2", "false", "exit 1")),
        ("%post\ntrue\n%end\n", "", ("script", "%post 1", "%post\ntrue", "")),
        ("lang en", "lang en\n%attachment\n/x\n%end", ("attachment", "/x", "", "listed")),
        ("lang en", "lang en\n%addon x\na\n%end", ("section", "%addon x", "", "%addon x\na\n")),
        ("true", "true http://u:p@h/", ("script", "%post 1", "true", "true http://***@h/")),
    ],
)
def test_what_differs_is_told_with_both_sides(old: str, new: str, expected: tuple[str, ...]) -> None:
    assert told(KS, KS.replace(old, new, 1)) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("sshkey --username=r 'a b'\n", "sshkey --username=r 'c b'\n", 2),
        ("part swap --size=1\npart swap --size=2\n", "part swap --size=3\npart swap --size=2\n", 1),
        ("part swap --size=2\n", "part swap --size=2\npart swap --size=2\n", 1),
        ("network --bootproto=dhcp\nnetwork --hostname=h\n", "network --hostname=h\n", 1),
        ("part swap --size=1\npart swap --size=2\n", "part swap --size=2\npart swap --size=1\n", 0),
        ("%addon x\na\n%end\n", "%addon x\nb\n%end\n", 1),
        ("%anaconda\npwpolicy a\n%end\n", "%anaconda\npwpolicy b\n%end\n", 1),
        ("%addon x\n%end\n", "%addon  x\n%end\n", 0),
        ("%post\ncurl http://u:p@h/\n%end\n", "%post\ncurl http://u:q@h/\n%end\n", 1),
    ],
)
def test_lines_about_one_thing_and_sections_are_compared_whole(old: str, new: str, expected: int) -> None:
    assert len(told("lang en\n" + old, "lang en\n" + new)) == expected


def test_long_scripts_that_differ_are_compared_soon() -> None:
    one, other = (
        "".join(f"echo the number {number} {word} a line\n" for number in range(900)) for word in ("in", "on")
    )
    began = time.process_time()
    ((*_, before, after),) = told(f"lang en\n%post\na\n{one}z\n%end\n", f"lang en\n%post\na\n{other}z\n%end\n")
    assert time.process_time() - began < 5
    assert (before, after) == (one.rstrip(), other.rstrip())


_LINES = st.lists(
    st.sampled_from(["lang en", "part / --size=1", "part swap --size=2", "text", "skipx", "sshkey --username=a k"])
)


@settings(deadline=None, max_examples=50)
@given(_LINES, _LINES)
def test_a_difference_seen_from_the_other_side_is_its_mirror(one: list[str], other: list[str]) -> None:
    a, b = ("\n".join(["keyboard us", *lines]) for lines in (one, other))
    mirrored = sorted((kind, what, after, before) for kind, what, before, after in told(b, a))
    assert sorted(told(a, b)) == mirrored
    assert told(a, a) == []
