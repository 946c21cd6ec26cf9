# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves participants/build_ks.py."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore import names
from imgcore.buildservice import BuildService
from imgcore.config import Config
from imgcore.errors import InputError
from participants.build_ks import ParticipantHandler
from RuoteAMQP import Workitem
from tests.support.web import serve

KICKSTART = "# mine\nrepo --name=a --baseurl=http://a/\n%packages\nbase\n%end\n"


def build(store: Path | None, **image: Any) -> Workitem:
    handler = ParticipantHandler()
    handler.config = Config(ksstore=store)
    item = Workitem({"fields": {"image": image}})
    handler.handle_wi(item)
    return item


def test_a_kickstart_gets_what_is_asked_for_and_keeps_the_rest(tmp_path: Path) -> None:
    item = build(
        None, kickstart=KICKSTART, name="n", packages=["more"], groups='["core"]', extra_repos=["b=http://b/"]
    )
    text = item.fields.image.kickstart
    assert text.startswith("# mine\nrepo --name=a --baseurl=http://a/\n")
    assert "--name=b --baseurl=http://b/" in text
    assert "more\n" in text and "@core\n" in text
    assert item.result is True


def test_a_kickstart_of_the_store_is_found_and_gives_its_name(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "phone.ks").write_text("%include parts.ks\n" + KICKSTART)
    (tmp_path / "team" / "parts.ks").write_text("lang C\n")
    item = build(tmp_path, ksfile="team/phone.ks")
    assert item.fields.image.name == "phone"
    assert "lang C\n" in item.fields.image.kickstart
    assert "%include" not in item.fields.image.kickstart


def test_what_the_header_says_fills_what_is_not_said(tmp_path: Path) -> None:
    header = "# -*-mic2-options-*- -f raw --arch=i586 -*-mic2-options-*-\n"
    image = build(None, kickstart=header + KICKSTART, name="n").fields.image
    assert (image.image_type, image.arch) == ("raw", "i586")
    image = build(None, kickstart=header + KICKSTART, name="n", image_type="fs").fields.image
    assert image.image_type == "fs"


@pytest.mark.parametrize(
    "path", ["../outside.ks", "/etc/passwd", "link.ks", "directory/../../outside.ks", "none.ks", ""]
)
def test_nothing_outside_of_the_store_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.ks").write_text(KICKSTART)
    store = tmp_path / "store"
    (store / "directory").mkdir(parents=True)
    (store / "link.ks").symlink_to(tmp_path / "outside.ks")
    with pytest.raises(InputError):
        build(store, ksfile=path)


def test_nothing_outside_of_the_store_is_included(tmp_path: Path) -> None:
    (tmp_path / "outside.ks").write_text("lang C\n")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.ks").write_text("%include ../outside.ks\n" + KICKSTART)
    with pytest.raises(InputError, match=r"a\.ks, line 1"):
        build(tmp_path / "store", ksfile="a.ks")


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"n\.ks, line 6.*fstype"):
        build(None, kickstart=KICKSTART + "part / --fstipe=ext4\n", name="n")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Config]:
    """A build service that knows the projects A:B and A:C, and a configuration that knows it."""
    for project, repositories in {"A:B": ("i586", "arm:v7"), "A:C": ("i586",), "T:Trial": ("x",)}.items():
        meta = tmp_path / "api/public/source" / project / "_meta"
        meta.parent.mkdir(parents=True)
        meta.write_text(f"<project>{''.join(f'<repository name={each!r}/>' for each in repositories)}</project>")
    with serve(tmp_path / "api") as site:
        service = BuildService("obs", "http://repo.example.org/live/", site.url)
        yield Config(build_services={"obs": service})


def step(config: Config, image: dict[str, Any], params: dict[str, Any] | None = None, **fields: Any) -> Workitem:
    handler = ParticipantHandler()
    handler.config = config
    item = Workitem({"fields": {"image": {"kickstart": KICKSTART, "name": "n", **image}, "params": params, **fields}})
    handler.handle_wi(item)
    return item


def repositories(item: Workitem) -> list[str]:
    return [line for line in item.fields.image.kickstart.split("\n") if line.startswith("repo ")][1:]


def test_packages_and_groups_come_from_fields_attributes_and_fields_that_attributes_name() -> None:
    item = step(
        Config(),
        {"packages": ["p1"], "groups": '["g1"]'},
        {"packages": '["p2", "p1"]', "packages_from": "defined.extra", "groups": ["g2"], "groups_from": "more"},
        defined={"extra": ["p3"]},
        more='["g3"]',
    )
    assert item.fields.image.kickstart.endswith("%packages\n@g2\n@g3\n@g1\nbase\np2\np1\np3\n%end\n")


def test_a_field_that_an_attribute_names_need_not_be_there() -> None:
    assert step(Config(), {}, {"packages_from": "not.there", "groups_from": ""}).result is True


def test_the_repositories_of_a_project_are_added(services: Config) -> None:
    item = step(services, {}, {"project": "A:B"}, ev={"namespace": "obs"})
    urls = ["http://repo.example.org/live/A:/B/i586", "http://repo.example.org/live/A:/B/arm:/v7"]
    assert [line.partition("--baseurl=")[2] for line in repositories(item)] == urls
    assert item.fields.image.extra_repos == urls


def test_a_repository_that_is_named_needs_no_question_and_no_namespace_where_there_is_one_service() -> None:
    config = Config(build_services={"obs": BuildService("obs", "https://repo.example.org")})
    item = step(config, {"extra_repos": ["http://x/"]}, {"project": "A:B", "repository": "r"})
    assert item.fields.image.extra_repos == ["http://x/", "https://repo.example.org/A:/B/r"]


def test_the_repositories_of_a_build_trial_are_added_but_for_excluded_projects(services: Config) -> None:
    trial = {"subprojects": {"A:C": ["x"], "T:Trial": ["y"]}, "suffix": ":Trial"}
    item = step(services, {"exclude_prjs": ["T"]}, build_trial=trial, ev={"namespace": "obs"})
    assert item.fields.image.extra_repos == ["http://repo.example.org/live/A:/C/i586"]
    again = step(services, {"kickstart": item.fields.image.kickstart}, build_trial=trial)
    assert again.fields.image.kickstart_diff.count("\n+repo") == 1


def test_a_step_that_is_done_again_changes_nothing(services: Config) -> None:
    params = {"project": "A:B", "packages": ["p"]}
    item = step(services, {}, params)
    again = step(services, item.fields.image.as_dict(), params)
    assert again.fields.image.kickstart == item.fields.image.kickstart
    assert again.fields.image.kickstart_diff == ""


@pytest.mark.parametrize(
    ("params", "fields", "words"),
    [
        ({"project": "A:None"}, {}, "has no project A:None"),
        ({"project": "../x"}, {}, "not a name of a build service"),
        ({"project": "A:..:B", "repository": "r"}, {}, "not a name of a build service"),
        ({"project": "A:B", "repository": "r/../.."}, {}, "not a name of a build service"),
        ({"project": "A:B"}, {"ev": {"namespace": "other"}}, "'other' is not a build service that is known here"),
        ({"packages_from": ["x"]}, {}, "not the name of a field"),
        ({"packages_from": "image"}, {}, "field image: .* is not a list"),
        ({"packages": "p"}, {}, "field params.packages: 'p' is not a list"),
        ({}, {"build_trial": {"subprojects": "A"}}, "is not a list"),
    ],
)
def test_what_cannot_be_meant_is_told(
    services: Config, params: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        step(services, {}, params, **fields)


def test_all_mistakes_come_as_one_error_and_as_lines_of_msg() -> None:
    handler = ParticipantHandler()
    handler.config = Config()
    item = Workitem({"fields": {"image": {"name": "n", "kickstart": "fooo\nlang en\nautpart\n"}, "msg": ["before"]}})
    with pytest.raises(InputError) as caught:
        handler.handle_wi(item)
    assert str(caught.value).startswith("n.ks, line 1: unknown command fooo; 1 more mistake (line 3), `img ks check")
    assert caught.value.__notes__ == ["n.ks, line 3: unknown command autpart (did you mean autopart?)"]
    assert item.fields.msg == ["before", str(caught.value), *caught.value.__notes__]
    assert item.result is False


def test_conflicts_come_all_at_once() -> None:
    kickstart = "repo --name=a --baseurl=http://a/\n%packages\n-vim\n%end\n"
    with pytest.raises(InputError, match="another URL") as caught:
        step(Config(), {"kickstart": kickstart, "extra_repos": ["a=http://b/"], "packages": ["vim"]})
    assert ["vim is excluded" in note for note in caught.value.__notes__] == [True]


def test_what_was_done_is_told_and_shown_without_secrets() -> None:
    item = step(Config(), {"extra_repos": ["https://me:hidden@x/"], "packages": ["p"]})
    assert item.fields.msg == [
        "n.ks: valid, 2 lines added",
        "n.ks as it will be built, line 3: repo: a URL with a password (give it by a token)",
    ]
    diff = item.fields.image.kickstart_diff
    assert diff.startswith("--- a/n.ks\n+++ b/n.ks\n@@ -1,5 +1,7 @@\n # mine\n")
    assert "+p\n" in diff and "hidden" not in diff


def test_everything_that_can_be_changed_can_be_asked_for_by_the_image_and_by_the_step() -> None:
    kickstart = "lang @LANG@\ntimezone UTC\nrepo --name=a --baseurl=http://a/\nrepo --name=b --baseurl=http://b/\n"
    kickstart += "%packages\nbase\nold\n%end\n"
    image = {"exclude": ["ed"], "replace_repos": ["a=http://n/"], "commands": '["keyboard us"]', "tokens": "LANG:C"}
    params = {
        "remove": ["old"], "remove_repos": ["b"], "remove_commands": ["timezone"],
        "sections": ["%post\ntrue\n%end"], "exclude": ["@games"],
    }  # fmt: skip
    item = step(Config(), {"kickstart": kickstart, **image}, params)
    assert item.fields.image.kickstart == (
        "lang C\nrepo --name=a --baseurl=http://n/\nkeyboard us\n"
        "%packages\nbase\n-@games\n-ed\n%end\n\n%post\ntrue\n%end\n"
    )
    assert item.fields.msg == ["n.ks: valid, 9 lines added, 5 taken out"]
    again = step(Config(), {**image, "kickstart": item.fields.image.kickstart}, params)
    assert again.fields.image.kickstart_diff == ""


def test_what_will_not_be_as_it_was_asked_for_is_told_for_the_tool_that_is_configured() -> None:
    kickstart = KICKSTART + "rootpw plain\nautopart\n%post\nif true; then\n%end\n"
    told = step(Config(), {"kickstart": kickstart, "image_type": "raw"}).fields.msg
    assert any("line 6: rootpw: the password is plain text" in each for each in told)
    assert any("line 7: builtin: autopart is not something" in each for each in told)
    assert any("line 9: %post does not parse" in each for each in told)
    assert not any("plain)" in each or "rootpw plain" in each for each in told)


def test_a_link_in_the_store_leads_only_inside(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "real").mkdir(parents=True)
    (store / "real" / "a.ks").write_text(KICKSTART)
    (store / "latest").symlink_to("real")
    assert build(store, ksfile="latest/a.ks").fields.image.name == "a"


def test_a_link_that_is_put_there_while_it_is_looked_up_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, outside = tmp_path / "store", tmp_path / "outside"
    (store / "team").mkdir(parents=True)
    outside.mkdir()
    for directory in (store / "team", outside):
        (directory / "a.ks").write_text(KICKSTART)
    inside = names.inside

    def swapped(*given: Any) -> Path:
        found = inside(*given)
        (store / "team").rename(store / "old")
        (store / "team").symlink_to(outside)
        return found

    monkeypatch.setattr(names, "inside", swapped)
    with pytest.raises(InputError, match="cannot be read"):
        build(store, ksfile="team/a.ks")


def test_a_pipe_in_the_store_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ks")
    with pytest.raises(InputError, match="it is not a file"):
        build(tmp_path, ksfile="a.ks")


def test_the_release_of_the_options_names_what_is_included(tmp_path: Path) -> None:
    (tmp_path / "a.ks").write_text("%include parts-@RELEASE@.ks\n" + KICKSTART)
    (tmp_path / "parts-1.2.ks").write_text("lang C\n")
    image = build(tmp_path, ksfile="a.ks", extra_opts=["--release=1.2"]).fields.image
    assert image.kickstart.startswith("lang C\n")
    with pytest.raises(InputError, match=r"parts-latest\.ks is not there"):
        build(tmp_path, ksfile="a.ks")


def test_in_what_is_included_tokens_wait_for_their_values(tmp_path: Path) -> None:
    (tmp_path / "a.ks").write_text("%include @ARCH@.ks\n" + KICKSTART)
    (tmp_path / "i586.ks").write_text("repo --name=b --baseurl=http://b/@GIVEN@/@RELEASE@/@BUILD_ID@/@ARCH@/\n")
    image = build(tmp_path, ksfile="a.ks", arch="i586", tokenmap="GIVEN:mine").fields.image
    assert image.kickstart.startswith("repo --name=b --baseurl=http://b/mine/@RELEASE@/@BUILD_ID@/@ARCH@/\n")


def test_lines_are_those_of_the_file_that_was_given_and_not_of_what_is_made_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.ks").write_text("%include parts.ks\n" + KICKSTART + "firewall --port=99999999:tcp\n")
    (tmp_path / "parts.ks").write_text("lang C\n\nrootpw plain\n")
    more = ["b=http://b/", "c=http://me:hidden@c/"]
    told = build(tmp_path, ksfile="a.ks", extra_repos=more, remove_commands=["lang"]).fields.msg
    assert [each.partition(":")[0] for each in told] == [
        "a.ks",
        "parts.ks, line 3",
        "a.ks, line 7",
        "a.ks as it will be built, line 6",
    ]


def test_what_a_change_mends_is_not_told() -> None:
    assert step(Config(), {"kickstart": KICKSTART + "rootpw plain\n", "remove_commands": ["rootpw"]}).fields.msg == [
        "n.ks: valid, no lines added, 1 taken out"
    ]
