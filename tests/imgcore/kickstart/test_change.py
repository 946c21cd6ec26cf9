# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves what imgcore/kickstart/augment.py does beyond adding: replace, remove, exclude, tokens, sections."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.kickstart import Changes, change, read

KS = """# my kickstart
lang en_US.UTF-8  # the language
timezone UTC
repo --name="oss"   --baseurl="http://x.org/oss" --save # main
repo --name="old" --baseurl=http://x.org/old

part / --size=100 --fstype=ext4
part /home --size=100

%packages
@core
vim # an editor
emacs
-nano
%end

%post
echo @WHERE@
%end
"""


def lines(text: str, **changes: Any) -> tuple[list[str], list[str]]:
    """The lines that go and the lines that come; fails if the same changes again change more."""
    wanted = Changes(**changes)
    changed = change(text, wanted)
    assert change(changed.text, wanted) == type(changed)(changed.text, "")
    body = changed.diff.splitlines()[2:]
    return [line[1:] for line in body if line[0] == "-"], [line[1:] for line in body if line[0] == "+"]


def test_packages_and_groups_are_removed_with_their_lines_also_exclusions() -> None:
    assert lines(KS, remove=["vim", "@core", "nano", "unknown"]) == (["@core", "vim # an editor", "-nano"], [])


def test_exclusions_go_behind_the_last_one_or_the_packages() -> None:
    assert lines(KS, exclude=["ed", "@games"]) == ([], ["-ed", "-@games"])
    assert change(KS, Changes(exclude=["ed"])).text.index("-ed\n") > KS.index("-nano")
    assert "a\n-b\n%end" in change("%packages\na\n%end\n", Changes(exclude=["b"])).text


def test_what_is_listed_is_excluded_only_when_it_is_removed_too() -> None:
    with pytest.raises(InputError, match="vim is listed by the kickstart"):
        change(KS, Changes(exclude=["vim"]))
    assert change(KS, Changes(exclude=["vim"], remove=["vim"])).text.count("-vim\n") == 1


def test_a_repository_gets_another_url_and_keeps_its_style_and_options() -> None:
    assert lines(KS, replace_repos=["oss=https://new.org/oss"]) == (
        ['repo --name="oss"   --baseurl="http://x.org/oss" --save # main'],
        ['repo --name="oss"   --baseurl="https://new.org/oss" --save # main'],
    )


def test_a_repository_is_removed_by_its_name() -> None:
    assert lines(KS, remove_repos=["old", "unknown"]) == (['repo --name="old" --baseurl=http://x.org/old'], [])


def test_a_command_takes_the_place_of_the_one_about_the_same_thing_and_keeps_its_comment() -> None:
    assert lines(KS, commands=["lang de_DE.UTF-8", "part /home --size=9"]) == (
        ["lang en_US.UTF-8  # the language", "part /home --size=100"],
        ["lang de_DE.UTF-8  # the language", "part /home --size=9"],
    )


def test_a_command_that_is_not_there_goes_behind_its_like_or_the_commands() -> None:
    text = change(KS, Changes(commands=["part swap --size=5", "rootpw --lock"])).text
    assert "part /home --size=100\npart swap --size=5\nrootpw --lock\n\n%packages" in text


def test_commands_are_removed_by_name() -> None:
    assert lines(KS, remove_commands=["part", "firewall"])[0] == [
        "part / --size=100 --fstype=ext4",
        "part /home --size=100",
    ]


def test_a_command_that_is_taken_out_and_set_is_set() -> None:
    assert lines(KS, remove_commands=["lang"], commands=["lang de_DE.UTF-8"])[1] == [
        "lang de_DE.UTF-8  # the language"
    ]
    assert lines(KS, remove_commands=["part"], commands=["part /home --size=100", "part swap --size=1"]) == (
        ["part / --size=100 --fstype=ext4"],
        ["part swap --size=1"],
    )


def test_a_command_is_set_where_one_is_left_of_those_about_the_same_thing() -> None:
    text = "partition / --size=1\npart / --size=2\n"
    assert change(text, Changes(remove_commands=["part"], commands=["part / --size=3"])).text == "part / --size=3\n"


def test_a_command_is_set_where_it_is_in_force() -> None:
    assert lines("lang en\nlang de\n", commands=["lang en"]) == (["lang de"], ["lang en"])


def test_what_has_no_name_is_told_apart_by_what_it_says() -> None:
    keys = "sshkey --username=root 'ssh-rsa A'\n"
    assert lines(keys, commands=["sshkey --username=root 'ssh-rsa B'"]) == (
        [],
        ["sshkey --username=root 'ssh-rsa B'"],
    )
    swap = "part swap --size=1 --ondisk=sda\n"
    assert lines(swap, commands=["part swap --size=2 --ondisk=sdb"])[0] == []
    assert lines(swap, commands=["part swap --size=2 --ondisk=/dev/sda"])[0] == [swap.strip()]


def test_a_section_without_an_end_is_there_whatever_blank_lines_follow_it() -> None:
    assert lines("%post\nx\n", sections=["%pre\nls", "%post\nx", "%pre\nls\n \n%end"]) == ([], ["", "%pre", "ls"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--base=http://x/", "--base=http://n/"),
        ("--baseurl 'http://x/'  # c", "--baseurl 'http://n/'  # c"),
        ("--mirrorlist=http://m/ --cost=3", "--baseurl=http://n/ --cost=3"),
        ("--metal http://m/", "--baseurl http://n/"),
        ("# all of it", "--baseurl=http://n/ # all of it"),
    ],
)
def test_a_repository_has_the_url_whatever_it_had_before(options: str, expected: str) -> None:
    text = f"repo --name=a {options}\n"
    assert change(text, Changes(replace_repos=["a=http://n/"])).text == f"repo --name=a {expected}\n"
    assert lines(text, replace_repos=["a=http://n/"])[1] == [f"repo --name=a {expected}"]


def test_a_section_goes_behind_everything_and_once() -> None:
    section = "%post --nochroot\ncp a b\n%end\n"
    assert change(KS, Changes(sections=[section])).text == f"{KS}\n{section}"
    assert lines(KS, sections=[section, section.removesuffix("%end\n")]) == (
        [],
        ["", "%post --nochroot", "cp a b", "%end"],
    )


def test_a_file_from_before_end_was_needed_stays_one() -> None:
    old = "lang en\n%post\ntrue\n"
    text = change(old, Changes(packages=["a"], sections=["%pre\nls\n%end"])).text
    assert text == "lang en\n\n%packages\na\n\n%post\ntrue\n\n%pre\nls\n"
    assert [each.kind for each in read(text.encode(), "x").scripts] == ["post", "pre"]


def test_tokens_are_replaced_everywhere_before_all_else() -> None:
    assert lines(KS, tokens={"WHERE": "here"}) == (["echo @WHERE@"], ["echo here"])
    text = "repo --name=a --baseurl=http://@HOST@/\n"
    assert lines(text, tokens={"HOST": "x"}, extra_repos=["a=http://x/"])[1] == ["repo --name=a --baseurl=http://x/"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"packages": ["a"], "remove": ["a"]}, "a is both added and taken out"),
        ({"groups": ["a"], "exclude": ["@a"]}, "@a is both added and taken out"),
        ({"extra_repos": ["a=http://x/"], "remove_repos": ["a"]}, "a=http://x/ contradicts removing repository a"),
        ({"commands": ["lang en", "lang de"]}, "lang de contradicts lang en, which is asked for too"),
        (
            {"extra_repos": ["a=http://x/"], "commands": ["repo --name=a --baseurl=http://y/"]},
            "contradicts a=http://x/",
        ),
        ({"commands": ["rootpw one", "rootpw two"]}, r"rootpw \*\*\* contradicts rootpw \*\*\*,"),
        ({"commands": ["rootpw one --nonsense"]}, r"'rootpw \*\*\* --nonsense': unknown option"),
        ({"replace_repos": ["old=http://x/", "old=http://y/"]}, "old=http://y/ contradicts old=http://x/"),
        ({"replace_repos": ["none=http://x/"]}, "repository none is not in the kickstart"),
        ({"replace_repos": ["http://x/"]}, "cannot be replaced"),
        ({"replace_repos": ["oss=http://x/ --proxy=y"]}, "cannot be replaced"),
        ({"commands": ["lnag en"]}, r"unknown command lnag \(did you mean lang"),
        ({"commands": ["# nothing"]}, "says nothing"),
        ({"commands": ["lang en\n%post"]}, "cannot be added"),
        ({"remove_commands": ["a b"]}, "not the name of a command"),
        ({"sections": ["%packages\na\n%end"]}, "packages are added as packages"),
        ({"sections": ["%post\na\n%end\nlang en"]}, "does not begin one section"),
        ({"sections": ["%post\n%pre\n%end"]}, "does not begin one section"),
        ({"sections": ["echo"]}, "does not begin one section"),
        ({"sections": [""]}, "does not begin one section"),
        ({"tokens": {"A": "@B@", "B": "x"}}, "token A has a token in its value"),
        ({"tokens": {"A": "x\ny"}}, "more than one line"),
    ],
)
def test_what_cannot_be_changed_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        change(KS, Changes(**changes))


def test_all_conflicts_are_told_at_once() -> None:
    with pytest.raises(InputError, match="nano is excluded") as caught:
        change(KS, Changes(packages=["nano"], replace_repos=["none=http://x/"], exclude=["emacs"]))
    assert len(caught.value.__notes__) == 2


_CHANGES = st.lists(
    st.sampled_from(
        [
            {"packages": ["p"]}, {"packages": ["q", "vim"]}, {"groups": ["g"]}, {"exclude": ["x"]},
            {"remove": ["emacs"]}, {"extra_repos": ["z=http://z"]}, {"replace_repos": ["oss=http://n"]},
            {"remove_repos": ["old"]},
            {"commands": ["lang fr"]}, {"commands": ["part /var --size=1"]}, {"remove_commands": ["timezone"]},
            {"sections": ["%pre\ntrue"]}, {"tokens": {"WHERE": "w"}},
        ]
    ),
    min_size=2, max_size=2,
)  # fmt: skip


def meaning(text: str) -> tuple[object, ...]:
    found = read(text.encode(), "x")
    return (
        sorted(str((each.name, dict(each.values))) for each in found.commands),
        sorted((each.kind, each.name, each.excluded) for section in found.packages for each in section.entries),
        sorted((each.kind, each.body) for each in found.scripts),
    )


@settings(deadline=None, max_examples=150)
@given(_CHANGES)
def test_the_order_of_independent_changes_does_not_matter(pair: list[dict[str, Any]]) -> None:
    one, two = (Changes(**each) for each in pair)
    assert meaning(change(change(KS, one).text, two).text) == meaning(change(change(KS, two).text, one).text)


_SOME: dict[str, list[str]] = {
    "commands": ["lang fr", "part / --size=1", "part swap --size=1", "repo --name=a --baseurl=http://s/", "text"],
    "remove_commands": ["lang", "part", "partition", "repo", "text"],
    "extra_repos": ["a=http://a/", "http://b/", "repo --name=c --baseurl=http://c/"],
    "replace_repos": ["a=http://n/"],
    "remove_repos": ["a", "c"],
    "sections": ["%pre\ntrue", "%post\nx\n\n%end"],
    "packages": ["p"],
    "remove": ["p", "vim"],
    "exclude": ["vim", "q"],
}
_ANY_CHANGES = st.fixed_dictionaries(
    {}, optional={name: st.lists(st.sampled_from(each), max_size=2) for name, each in _SOME.items()}
)
_LINES = st.sampled_from(
    [
        "lang en", "lang fr # c", "part / --size=9", "partition / --size=8", "part swap --size=1", "text",
        "repo --name=a --base=http://o/", 'repo --name="a" --mirrorlist=http://a/ # c', "repo --name=b --baseurl=http://b/",
        "%packages", "vim", "-q", "%end", "%post", "x", "", "%pre", "true",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(_LINES, max_size=12).map("\n".join), _ANY_CHANGES)
def test_the_same_changes_twice_are_as_once(text: str, changes: dict[str, list[str]]) -> None:
    try:
        once = change(text, Changes(**changes)).text
    except InputError:
        return
    assert change(once, Changes(**changes)).text == once


@pytest.mark.parametrize("options", ["", "--cost=3", "--save", "--install --ssl_verify=yes"])
def test_a_repository_that_asks_for_no_more_than_the_one_that_is_there_is_not_added(options: str) -> None:
    text = "repo --name=a --baseurl=http://a --gpgkey=http://k --cost=3 --save\n"
    assert lines(text, extra_repos=[f"repo --name=a --baseurl=http://a {options}"]) == ([], [])
    assert lines(text, extra_repos=["a=http://a", "http://a"]) == ([], [])


@pytest.mark.parametrize(
    ("there", "options", "told"),
    [
        ("", "--gpgkey=http://k --priority=1", "--gpgkey, --priority"),
        ("--gpgkey=http://other --cost=1", "--cost=1 --gpgkey=http://k", "--gpgkey"),
        ("--noverifyssl", "--ssl_verify=yes", "--ssl_verify"),
    ],
)
def test_options_that_the_repository_of_that_name_has_not_got_are_a_conflict(
    there: str, options: str, told: str
) -> None:
    text = f"repo --name=a --baseurl=http://a {there}".strip() + "\n"
    line = f"repo --name=a --baseurl=http://a {options}"
    with pytest.raises(InputError) as caught:
        change(text, Changes(extra_repos=[line]))
    assert caught.value.message == f"extra repository a: the repository of that name and URL differs in {told}"
    with pytest.raises(InputError, match="differs in"):
        change("lang C\n", Changes(extra_repos=[text.strip(), line]))
    # Where the line goes, the new one comes in its place.
    assert lines(text, extra_repos=[line], remove_commands=["repo"]) == ([text.strip()], [line])


def test_a_host_name_and_an_interface_are_set_beside_each_other() -> None:
    dhcp, name = "network --bootproto=dhcp --device=link --activate", "network --hostname=phone --activate"
    assert lines(f"{dhcp}\n", commands=["network --hostname=new"]) == ([], ["network --hostname=new"])
    assert lines("network --bootproto=dhcp\n", commands=[name]) == ([], [name])
    assert lines(f"{name}\n", commands=["network --bootproto=dhcp"]) == ([], ["network --bootproto=dhcp"])
    assert lines(f"{name}\n{dhcp}\n", commands=["network --host new"]) == ([name], ["network --host new"])
    both = "network --bootproto=static --ip=10.0.0.2 --netmask=255.0.0.0 --hostname=h"
    assert lines("network --bootproto=dhcp\n", commands=[both]) == (["network --bootproto=dhcp"], [both])


@pytest.mark.parametrize("disk", ["", " --ondisk=sda", " --ondisk=/dev/sda"])
def test_swap_without_a_disk_is_on_the_first(disk: str) -> None:
    text = f"part swap --size=5{disk}\npart swap --size=6 --ondisk=sdb\n"
    assert lines(text, commands=["part swap --size=9"]) == ([f"part swap --size=5{disk}"], ["part swap --size=9"])
