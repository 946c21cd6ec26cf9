# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.kickstart import augment, read

KS = """# my kickstart
lang en_US.UTF-8
repo --name="oss"   --baseurl=http://x.org/oss # main
repo --name="non oss" --baseurl=http://x.org/non

  # disk
part / --size=100 --fstype=ext4

%packages --nocore   # few
@core
  vim
# editors
  emacs # the other

%end

%post
cat <<EOF
repo --name=fake --baseurl=http://fake/
%packages
fake
%end
EOF
%end
"""


def added(before: str, after: str) -> list[tuple[int, str]]:
    """The lines that `after` has more, with their numbers; fails if anything else is different."""
    found, old = [], before.splitlines(keepends=True)
    for number, line in enumerate(after.splitlines(keepends=True), 1):
        if old and old[0] == line:
            old.pop(0)
        else:
            found.append((number, line))
    assert old == []
    return found


def test_nothing_asked_for_changes_nothing() -> None:
    assert augment(KS) == KS


def test_a_repository_goes_behind_the_last_one_in_its_style() -> None:
    assert added(KS, augment(KS, extra_repos=["new=http://n.org/?a=b"])) == [
        (5, 'repo --name="new" --baseurl=http://n.org/?a=b\n')
    ]


def test_packages_and_groups_go_behind_their_kind_with_its_indentation() -> None:
    assert added(KS, augment(KS, packages=["mc", "htop"], groups=["@Extra Tools", "x"])) == [
        (11, "@Extra Tools\n"),
        (12, "@x\n"),
        (16, "  mc\n"),
        (17, "  htop\n"),
    ]


def test_what_is_there_is_not_added_again() -> None:
    assert augment(KS, packages=["vim", "emacs"], groups=["core"], extra_repos=["oss=http://x.org/oss"]) == KS
    assert augment(KS, extra_repos=["http://x.org/non"]) == KS


def test_what_only_a_script_shows_is_added() -> None:
    assert len(added(KS, augment(KS, packages=["fake"], extra_repos=["fake=http://real/"]))) == 2


def test_a_whole_line_is_taken_as_it_is() -> None:
    line = "repo --name=q --baseurl=http://q --save  --ssl_verify=no"
    assert added(KS, augment(KS, extra_repos=[line])) == [(5, line + "\n")]


def test_a_url_gets_a_name_that_is_always_the_same_and_shows_no_password() -> None:
    assert added(KS, augment(KS, extra_repos=["https://me:secret@n.org/a/@ARCH@/"])) == [
        (5, 'repo --name="n.org-a-@ARCH@" --baseurl=https://me:secret@n.org/a/@ARCH@/\n')
    ]


def test_two_urls_that_differ_in_what_a_name_cannot_have_get_two_names() -> None:
    text = augment("lang en\n", extra_repos=["http://n/a_b", "http://n/a?b", "http://n/a&b"])
    names = [command.values["name"] for command in read(text.encode(), "x").commands if command.name == "repo"]
    assert len(set(names)) == 3


def test_line_ends_and_the_missing_last_one_are_kept() -> None:
    text = "lang en\r\n\r\n%packages\r\n%end"
    assert augment(text, packages=["a"], groups=["g"], extra_repos=["r=http://r"]) == (
        "lang en\r\nrepo --name=r --baseurl=http://r\r\n\r\n%packages\r\n@g\r\na\r\n%end"
    )
    assert augment("lang en", extra_repos=["r=http://r"]) == "lang en\nrepo --name=r --baseurl=http://r"
    assert augment("lang en\r\nkeyboard us", packages=["a"]) == "lang en\r\nkeyboard us\r\n\r\n%packages\r\na\r\n%end"


def test_a_missing_section_is_made_before_the_scripts_and_their_comment() -> None:
    text = "lang en\n\n# at the end\n%post\ntrue\n%end\n"
    assert augment(text, packages=["a"], groups=["g"]) == (
        "lang en\n\n%packages\n@g\na\n%end\n\n# at the end\n%post\ntrue\n%end\n"
    )


def test_a_repository_without_neighbours_goes_behind_the_commands() -> None:
    assert augment("lang en\n\n# p\n%packages\n%end\n", extra_repos=["r=http://r"]) == (
        "lang en\nrepo --name=r --baseurl=http://r\n\n# p\n%packages\n%end\n"
    )


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"extra_repos": ["oss=http://y.org/"]}, "has a repository of that name with another URL, http://x.org/oss"),
        ({"extra_repos": ["repo --name=q"]}, "is not understood"),
        ({"extra_repos": ["repo --name=q --baseurl=http://q --fstype=x"]}, "is not understood"),
        ({"extra_repos": ["rootpw x"]}, "is not understood"),
        ({"extra_repos": ["http://x\nrootpw y"]}, "cannot be added"),
        ({"extra_repos": ['http://x"y']}, "not a URL without spaces, quotes"),
        ({"extra_repos": ["http://x/#y"]}, "has a #"),
        ({"extra_repos": ["file:///srv/../etc"]}, r"without \.\."),
        ({"extra_repos": ["/srv/../etc"]}, r"without \.\."),
        ({"extra_repos": ["q=file:///srv/../etc"]}, r"without \.\."),
        ({"extra_repos": ["repo --name=q --baseurl=file:///srv/%2e%2e/etc"]}, r"without \.\."),
        ({"extra_repos": ["repo --name=q --mirrorlist=javascript:x"]}, "not a repository URL"),
        ({"extra_repos": [""]}, "cannot be added"),
        ({"packages": ["a\n%end"]}, "cannot be added"),
        ({"packages": ["-vim"]}, "is not a package name"),
        ({"packages": ["a b"]}, "is not a package name"),
        ({"packages": ["@core"]}, "is not a package name"),
        ({"groups": ["a --optional"]}, "is not the name of a group"),
        ({"groups": ["-core"]}, "is not the name of a group"),
    ],
)
def test_what_cannot_be_added_is_refused(wanted: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        augment(KS, **wanted)  # type: ignore[arg-type]


def test_a_refusal_shows_no_credentials() -> None:
    text = "repo --name=a --baseurl=http://me:secret@x/\n"
    with pytest.raises(InputError) as caught:
        augment(text, extra_repos=["a=http://me:hidden@y/"])
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_url_that_is_refused_shows_no_credentials() -> None:
    for url in ("http://me:hidden@y/<b>", "http://me:hidden@y/#b", f"http://me:hidden{'x' * 99}@y/<b>"):
        with pytest.raises(InputError, match=r"y/") as caught:
            augment(KS, extra_repos=[url])
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("excluded", "wanted"), [("-vim", {"packages": ["vim"]}), ("-@kde", {"groups": ["kde"]})])
def test_adding_what_is_excluded_is_told(excluded: str, wanted: dict[str, list[str]]) -> None:
    with pytest.raises(InputError, match="is excluded by the kickstart"):
        augment(f"%packages\n{excluded}\n%end\n", **wanted)  # type: ignore[arg-type]


_LINES = st.sampled_from(
    [
        "lang en", "", "  # c", "repo --name=a --baseurl=http://a", "%packages", "%end", "%post", "vim", "@core",
        "  x", "cat <<E", "E", "%include x", "part / --size=1", "%foo", "-y",
    ]
)  # fmt: skip
_TEXTS = st.tuples(st.lists(_LINES, max_size=15), st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
    lambda parts: parts[1].join(parts[0]) + (parts[1] if parts[2] else "")
)
_NAMES = st.lists(st.sampled_from(["vim", "x", "new", "n2"]), max_size=3)
_REPOS = st.lists(st.sampled_from(["http://a", "http://b/c", "a=http://a", "z=http://z"]), max_size=3)


@settings(deadline=None, max_examples=300)
@given(_TEXTS, _REPOS, _NAMES, st.lists(st.sampled_from(["core", "New"]), max_size=2))
def test_an_augmentation_inserts_only_and_twice_is_as_once(
    text: str, repos: list[str], packages: list[str], groups: list[str]
) -> None:
    once = augment(text, extra_repos=repos, packages=packages, groups=groups)
    assert augment(once, extra_repos=repos, packages=packages, groups=groups) == once
    kept = iter(once.replace("\r\n", "\n").split("\n"))
    assert all(line in kept for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"))


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_any_text_is_augmented_or_refused_with_an_input_error(text: str) -> None:
    try:
        augment(KS, extra_repos=[text], packages=[text], groups=[text])
        augment(text, extra_repos=["http://a"], packages=["a"], groups=["b"])
    except InputError as error:
        assert str(error).isprintable()
