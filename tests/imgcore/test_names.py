# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/names.py."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore import names
from imgcore.errors import InputError

VALIDATORS: dict[str, Callable[[object], object]] = {
    "image_id": names.image_id,
    "name": names.name,
    "prefix": names.prefix,
    "arch": names.arch,
    "image_type": names.image_type,
    "user": names.user,
    "packages": names.package,
    "groups": names.group,
    "tags": names.tag,
    "extra_repos": names.repository_url,
}
HOSTILE: tuple[object, ...] = (
    "", " ", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "-rf", "--outdir=/", "a\nb", "a\0b", "a\tb",
    "\x1b[31m", "a\n", "x" * 3000, "<b>x</b>", "$(reboot)", "`reboot`", "a;b", "a|b", 'a"b', "a'b", "a\\b",
    "\u202egnp.exe", "\udcff", None, 7, ["a"], {"a": 1}, b"bytes",
)  # fmt: skip


@pytest.mark.parametrize("field", VALIDATORS)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_a_hostile_value_is_refused_with_field_value_and_one_short_line(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        VALIDATORS[field](value)
    text = str(caught.value)
    assert text.startswith(f"field {field}: ")
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_id", "tiny-20260101-120000"),
        ("image_id", "x" * 150),
        ("image_id", "a@b+c.d_e-f"),
        ("name", "x" * 100),
        ("name", "sailfish-@RELEASE@"),
        ("prefix", "requests"),
        ("prefix", "a/b/c/d/e"),
        ("arch", "armv7hl"),
        ("arch", "x86_64"),
        ("image_type", "liveusb"),
        ("user", "Jane Doe"),
        ("user", "jane@example.org"),
        ("packages", "bash-5.2-1.x86_64"),
        ("packages", "kernel*"),
        ("packages", "pattern:sailfish"),
        ("groups", "MeeGo Core"),
        ("tags", "pinned"),
        ("extra_repos", "https://user:pw@example.org:8080/repo/@RELEASE@/?a=b"),
        ("extra_repos", "http://[::1]/x"),
        ("extra_repos", "file:///srv/repo"),
    ],
)
def test_a_sane_value_passes_as_it_is(field: str, value: str) -> None:
    assert VALIDATORS[field](value) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_id", "x" * 151),
        ("name", "x" * 101),
        ("name", ".hidden"),
        ("name", "@first"),
        ("prefix", "a/b/c/d/e/f"),
        ("prefix", "/a"),
        ("prefix", "a/.b"),
        ("arch", "noarch"),
        ("arch", "X86_64"),
        ("image_type", "iso"),
        ("groups", "@core"),
        ("extra_repos", "javascript://alert(1)"),
        ("extra_repos", "http:///nohost"),
        ("extra_repos", "file://host/x"),
        ("extra_repos", "file:///srv/../etc"),
        ("extra_repos", "file:///srv/%2e%2e/etc"),
        ("extra_repos", "http://a b/"),
    ],
)
def test_what_is_only_nearly_right_is_refused_with_a_remedy(field: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        VALIDATORS[field](value)
    assert caught.value.remedy


@given(st.text())
def test_whatever_passes_as_an_id_is_one_path_component_and_no_option(text: str) -> None:
    for validator in (names.image_id, names.name):
        try:
            passed = validator(text)
        except InputError:
            continue
        assert Path("/root", passed).parent == Path("/root")
        assert passed not in (".", "..")
        assert not passed.startswith(("-", "."))
        assert passed.isascii() and passed.isprintable() and " " not in passed


@given(st.one_of(st.text(), st.binary(), st.integers(), st.lists(st.text())))
def test_a_value_is_shown_in_one_printable_line_of_at_most_60_characters(value: object) -> None:
    text = names.shown(value)
    assert len(text) <= 60
    assert text.isprintable()


def test_a_value_of_a_hundred_megabytes_is_refused_at_once() -> None:
    huge = "x" * 100_000_000
    began = time.monotonic()
    for validator in VALIDATORS.values():
        with pytest.raises(InputError):
            validator(huge)
    assert time.monotonic() - began < 1


def test_tokens_come_as_text_or_mapping_and_values_may_hold_colons() -> None:
    assert names.tokenmap("RELEASE:4.5,URL:http://x:80/y") == {"RELEASE": "4.5", "URL": "http://x:80/y"}
    assert names.tokenmap({"A": "", "B_1": "x y"}) == {"A": "", "B_1": "x y"}
    assert names.tokenmap(None) == names.tokenmap("") == {}


@pytest.mark.parametrize(
    "value",
    [
        "novalue",
        "1A:x",
        "A B:x",
        ":x",
        "A:b\nc",
        {"A": "b,c"},
        {"A": "b\n"},
        {"A": 1},
        {1: "x"},
        {"-A": "x"},
        ["A:x"],
        7,
    ],
)
def test_a_token_that_could_be_more_than_a_token_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^field tokenmap: "):
        names.tokenmap(value)


def test_known_options_pass_in_every_form_that_messages_have() -> None:
    wanted = ("--pack-to=@NAME@.tar.bz2", "--copy-kernel", "--record-pkgs=name,vcs", "--compress-image=zst")
    assert names.extra_opts(list(wanted)) == wanted
    assert names.extra_opts(" ".join(wanted)) == wanted
    assert names.extra_opts('["--pack-to=@NAME@.tar.bz2", "--shrink"]') == ("--pack-to=@NAME@.tar.bz2", "--shrink")
    assert names.extra_opts(None) == names.extra_opts("") == ()


@pytest.mark.parametrize(
    "option",
    ["--outdir=/etc", "--outdir", "-o", "-o/etc", "--logfile=/x", "--config=/x", "-c/x", "-k", "-k/x", "--cachedir=x",
     "--arch=arm", "-A=arm", "--tokenmap=A:b", "--local-pkgs-path=/x", "--runtime=bootstrap"],
)  # fmt: skip
def test_options_that_redirect_the_job_are_refused_with_their_reason(option: str) -> None:
    with pytest.raises(InputError, match="is not allowed: "):
        names.extra_opts([option])


@pytest.mark.parametrize(
    "option",
    ["--pack-to", "--pack-to=", "--pack-to=../x", "--pack-to=a/b", "--pack-to=-x", "--pack-to=a\nb", "--shrink=yes",
     "--compress-image=lzo", "--unknown", "plain", "--pack-to=a b", "--OUTDIR=x", "--out=x", "--copy-kernelx", "--"],
)  # fmt: skip
def test_an_option_that_is_not_on_the_list_or_has_a_doubtful_value_is_refused(option: str) -> None:
    with pytest.raises(InputError, match=r"^field extra_opts: "):
        names.extra_opts([option])


@given(st.one_of(st.text(), st.lists(st.text())))
def test_whatever_passes_as_an_option_cannot_name_a_path(value: object) -> None:
    try:
        passed = names.extra_opts(value)
    except InputError:
        return
    for option in passed:
        assert option.startswith("--")
        assert "/" not in option and ".." not in option


@pytest.mark.parametrize("value", ["x", "{}", '["a", 1]', "[" * 100_000, ["a\nb"], [""], [None], 7, {"a": "b"}])
def test_a_list_that_is_none_is_refused_with_the_fields_name(value: object) -> None:
    with pytest.raises(InputError, match=r"^field packages: "):
        names.string_list("packages", value)


def test_a_list_comes_as_list_or_as_json_text() -> None:
    assert names.string_list("x", ["a", "b c"]) == names.string_list("x", '["a", "b c"]') == ("a", "b c")
    assert names.string_list("x", None) == names.string_list("x", "") == ()


def test_a_path_inside_its_root_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert names.inside(tmp_path, "link/b", "f") == tmp_path.resolve() / "a/b"


@pytest.mark.parametrize("relative", ["../x", "/etc/passwd", "a/../../x", "", "a\0b", "out/x", "loop/x", "deep/etc"])
def test_a_path_cannot_leave_its_root_not_through_links_either(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    (root / "deep").symlink_to("out/..")
    with pytest.raises(InputError, match=r"^field artifacts: "):
        names.inside(root, relative, "artifacts")
