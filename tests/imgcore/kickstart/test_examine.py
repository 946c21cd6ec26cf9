# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/examine.py, lint.py, scripts.py and tools.py: everything that is wrong, and for whom."""

from typing import Any

import pytest

from imgcore.cli.ks.findings import finding
from imgcore.errors import InputError
from imgcore.kickstart.examine import examine
from imgcore.kickstart.mistakes import Grade

GOOD = "lang C\nrepo --name=a --baseurl=http://x/\npart / --size=500\n%packages\nvim\n%end\n"


def told(text: str, **how: Any) -> list[str]:
    seen = examine(text.encode(), "x.ks", **how)
    found = [finding(each, seen.lines, str) for each in seen.found]
    return [f"{each.line}:{each.column} {each.grade} {each.rule}: {each.message}" for each in found]


def test_nothing_is_said_of_what_is_good() -> None:
    assert told(GOOD) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("rootpw x", "7:1 warning secret: rootpw: the password is plain text"),
        ("user --name=a --password=x", "7:1 warning secret: user: the password is plain text"),
        ("repo --name=b --baseurl=http://me:x@y/", "7:29 warning secret: repo: a URL with a password"),
        ("repo --name=a --baseurl=http://x/", "7:13 warning duplicate: repository a is there already, in line 2"),
        (
            "repo --name=a --baseurl=http://y/",
            "7:13 error conflict: repository a is there already, in line 2, with another URL",
        ),
        ("part / --size=50", "7:0 error duplicate: part: / is there already, in line 3"),
        ("part /x --size=9 --maxsize=4", "7:18 error size: part: --size=9 does not fit into --maxsize=4"),
        ("part /boot --size=1", "7:12 warning size: part: 1 MiB will hardly be enough for /boot"),
        (
            "part /x --size=9000000",
            "7:0 warning size: part: 9000500 MiB together are more than a partition table of msdos can have",
        ),
        ("network --device=eth0 --ip=nonsense", "7:0 error value: network: nonsense is not an IP address"),
        ("%packages\nvim\n%end", "8:1 note duplicate: vim is there already, in line 5"),
        ("%packages\n-vim\n%end", "8:2 warning conflict: vim is excluded here and listed in line 5: it is excluded"),
        (
            "%post\ntrue\nif true; then\n%end",
            "9:0 warning script: %post does not parse: syntax error: unexpected end of file",
        ),
        ("repo --name=b --baseurl=http://@HOST@/", "7:32 error token: token @HOST@ of repo has no value"),
        ("%include x.ks", "7:10 error include: included file x.ks cannot be followed here"),
        ("lang de", "1:1 warning duplicate: lang stands again in line 7, and that one is used"),
        ("autopart", "7:1 warning tool: builtin: autopart is not something that the built-in creator does"),
        ("%addon a\n%end", "7:1 warning tool: builtin: %addon is not something that the built-in creator does"),
    ],
)
def test_what_is_wrong_is_said_with_place_grade_and_kind(more: str, expected: str) -> None:
    assert expected in told(f"{GOOD}{more}\n")


def test_a_kickstart_without_root_or_repository_is_told() -> None:
    found = told("part /home --size=3000\n%packages\na\n%end\n")
    assert "1:0 error no-root: a raw image needs a root partition" in found
    assert "2:0 warning no-repo: there is no repository to install from" in found


def test_mistakes_of_syntax_do_not_hide_the_others() -> None:
    found = told("fooo\nrootpw x\n%packages\na b\n%end\n%post\nif\n%end\n")
    assert [each.split(":")[0] for each in found] == ["1", "1", "2", "4", "7"]


@pytest.mark.parametrize(
    ("line", "mic", "mic2"),
    [
        ("keyboard us", ["mic: keyboard is ignored"], ["mic2: keyboard is ignored"]),
        ("auth --useshadow", ["mic: auth is unknown: the line is left out"], []),
        ("install", ["mic: install is unknown: the line is left out"], ["mic2: install is ignored"]),
        ("rootpw --lock --iscrypted x", ["mic: --lock of rootpw is ignored"], ["mic2: --lock of rootpw is ignored"]),
        (
            "repo --name=b --metalink=http://m",
            ["mic: --metalink of repo is unknown: the whole line is left out"],
            ["mic2: --metalink of repo is unknown: the whole line is left out"],
        ),
        (
            "timesource --ntp-disable",
            ["mic: timesource is ignored"],
            ["mic2: timesource is unknown: the line is left out"],
        ),
        ("%pack\ntrue\n%end", [], ["mic2: %pack is ignored"]),
        (
            "%post --log=/x --interpreter=/usr/bin/python3\na\n%end",
            ["mic: --interpreter of %post is ignored: it runs with /bin/bash", "mic: --log of %post is ignored"],
            ["mic2: --interpreter of %post is ignored: it runs with /bin/bash", "mic2: --log of %post is ignored"],
        ),
    ],
)
def test_what_each_tool_ignores_or_leaves_out_is_said(line: str, mic: list[str], mic2: list[str]) -> None:
    for tool, expected in (("mic", mic), ("mic2", mic2)):
        seen = examine(f"{GOOD}{line}\n".encode(), "x.ks", tools=[tool])
        assert [each.what for each in seen.found if each.rule == "tool"] == expected


def test_tools_that_say_the_same_are_named_together() -> None:
    assert "7:1 note tool: mic, mic2: keyboard is ignored" in told(f"{GOOD}keyboard us\n", tools=["mic", "mic2"])


def test_a_refusal_of_a_chosen_tool_is_an_error() -> None:
    assert examine(f"{GOOD}autopart\n".encode(), "x.ks").worst() is Grade.WARNING
    assert examine(f"{GOOD}autopart\n".encode(), "x.ks", tools=["builtin"]).worst() is Grade.ERROR
    assert examine(f"{GOOD}autopart\n".encode(), "x.ks", tools=["mic"]).worst() is Grade.NOTE


def test_a_given_dialect_refuses_what_it_has_not_got() -> None:
    found = told(f"{GOOD}install\n%pack\n%end\n", dialect_name="f41")
    assert "7:1 error syntax: command install is none of f41" in found
    assert "8:1 error dialect: section %pack is none of f41" in found
    assert "7:1 warning deprecated: install is deprecated in f30" in told(f"{GOOD}install\n", dialect_name="f30")


def test_the_line_that_is_shown_has_no_secret() -> None:
    seen = examine(f"{GOOD}rootpw hunter2\n".encode(), "x.ks")
    assert [finding(each, seen.lines, str).text for each in seen.found] == ["rootpw ***"]


def test_scripts_are_parsed_and_not_run(tmp_path: Any) -> None:
    trap = tmp_path / "trap"
    text = f"%post\n}}; touch {trap}; f() {{\n%end\n%pre\n$(touch {trap})\n%end\n"
    text += "%post --interpreter=/usr/bin/perl\nif (\n%end\n"
    found = told(GOOD + text)
    assert [each.split(":")[2] for each in found if "script" in each] == [" %post does not parse"]
    assert not trap.exists()


def test_each_of_two_scripts_is_told_with_its_own_mistake() -> None:
    found = told(f"{GOOD}%post\nif true; then\n%end\n%post\nfi\n%end\n")
    assert [each.split(" ")[0] for each in found if "script" in each] == ["8:0", "11:0"]


def test_a_mistake_of_an_included_script_is_told_at_its_line(tmp_path: Any) -> None:
    (tmp_path / "part.sh").write_text("true\nfi\n")
    text = f"{GOOD}%post\n%include part.sh\n%end\n%post\nfi\n%end\n"
    seen = examine(text.encode(), "x.ks", root=tmp_path)
    assert [str(each.place) for each in seen.found] == ["part.sh, line 2", "x.ks, line 11"]


def test_scripts_without_end_are_not_parsed_for_ever() -> None:
    found = told(GOOD + "".join(f"%post\necho {number}\n%end\n" for number in range(300)))
    assert [each.partition(": ")[2] for each in found] == [
        "the scripts from here on are too many or too long to parse"
    ]


def test_notes_and_warnings_do_not_crowd_out_what_is_worse_and_what_is_cut_is_said() -> None:
    text = GOOD + "keyboard us\n" * 60 + "rootpw x\n" * 60 + "autopart\n%post --log=/x\na\n%end\n"
    found = told(text, tools=["mic", "builtin"])
    assert any("warning tool: mic: --log of %post is ignored" in each for each in found)
    assert sum(" note tool" in each for each in found) == 50
    assert any("error tool: builtin: autopart" in each for each in found)
    assert any("there are more notes; only so many are told" in each for each in found)
    assert any("there are more warnings; only so many are told" in each for each in found)


def test_mistakes_that_are_cut_are_said() -> None:
    found = told(GOOD + "".join(f"network --device=eth{number} --ip=x\n" for number in range(60)))
    assert any("there are more errors; only so many are told" in each for each in found)


def test_which_dialect_comes_closest_is_told_with_what_none_reads() -> None:
    found = told(f"{GOOD}autpart\n")
    assert "7:1 error syntax: unknown command autpart (did you mean autopart?)" in found
    assert "7:1 warning dialect: no dialect takes every line; fedora comes closest, but not with line 7" in found
    found = told(f"{GOOD}install\nbootc --source-imgref=x\n")
    assert any("note dialect: no dialect takes every line" in each for each in found)
    assert not any("dialect" in each for each in told(f"{GOOD}autpart\n", dialect_name="f41"))


def test_a_root_is_not_missed_where_a_line_could_not_be_read() -> None:
    found = told("repo --name=a --baseurl=http://x/\npart / --size=100 --fstipe=ext4\npart /home --size=900\n")
    assert [each for each in found if "no-root" in each] == []


def test_keys_of_a_subscription_are_secrets() -> None:
    seen = examine(f"{GOOD}rhsm --organization=o --activation-key=hidden\n".encode(), "x.ks")
    found = [finding(each, seen.lines, str) for each in seen.found]
    assert ("secret", 23) in [(each.rule, each.column) for each in found]
    assert not any("hidden" in each.text for each in found)


@pytest.mark.parametrize(
    "line",
    [
        "repo --name=b --baseurl=http://me:hidden@y/<b>",
        "repo --name=http://me:hidden@y/ --baseurl=http://x/",
        "%packages\nhttp://me:hidden@y/\n%end",
        "lang http://me:hidden@y/",
        "http://me:hidden@y/",
        "%include http://me:hidden@y/",
        f"repo --name=b --baseurl=http://me:{'x' * 100}hidden@y/<b>",
    ],
)
def test_no_message_shows_the_password_of_a_url(line: str) -> None:
    found = told(f"{GOOD}{line}\n")
    assert found != []
    assert "hidden" not in "\n".join(found)
    assert "xxx" not in "\n".join(found)


def test_what_is_no_kickstart_is_refused() -> None:
    with pytest.raises(InputError, match="no command and no section"):
        examine(b"# only words\n", "x.ks")
