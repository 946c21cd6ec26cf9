# SPDX-License-Identifier: GPL-2.0-or-later
"""Mer's dialect: what is inherited, in which order, and where things are looked for."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.described import mistakes, one


def document(configuration: str, sections: str = "", more: str = "") -> dict[str, str]:
    return {"a.yaml": f"Configurations:\n  - {{Name: a, {configuration}}}\n{sections}{more}"}


SECTIONS = """\
Arch: {Architecture: armv7hl, PostScripts: [arch.post], ExtraPackages: [one, two]}
Base: {Language: en_US.UTF-8, PartSize: 500, Groups: [Core], PostScripts: [base.post]}
Device: {Inherit: [Arch, Base], PartSize: 900, Groups: [Device, Core], PostScripts: [device.post]}
"""
SCRIPTS = {
    "arch.post": "echo arch\n",
    "base.post": "echo base\n",
    "device.post": "echo device\n",
    "own.post": "echo own\n",
}


def test_a_later_value_replaces_an_earlier_one_and_lists_are_put_before_each_other(tmp_path: Path) -> None:
    files = document("Inherit: [Device], PostScripts: [own.post], ExtraPackages: [three, one]", SECTIONS) | SCRIPTS
    text = one(tmp_path, files).text
    assert "--arch=armv7hl" in text
    assert "part / --size=900 --ondisk=sda --fstype=ext4\n" in text
    assert "%packages\n@Device\n@Core\nthree\none\ntwo\n%end\n" in text
    assert text.index("echo own") < text.index("echo device") < text.index("echo base") < text.index("echo arch")


def test_a_section_that_is_inherited_twice_counts_once(tmp_path: Path) -> None:
    files = document("Inherit: [Device, Arch, Base, Device]", SECTIONS) | SCRIPTS
    assert one(tmp_path, files).text.count("echo base") == 1


def test_sections_that_inherit_each_other_are_read(tmp_path: Path) -> None:
    text = one(
        tmp_path, document("Inherit: [A]", "A: {Inherit: [B], Keyboard: us}\nB: {Inherit: [A], Language: C}\n")
    ).text
    assert "lang C\nkeyboard us\n" in text


def test_an_image_that_inherits_nothing_is_what_it_says_itself(tmp_path: Path) -> None:
    assert "lang C\n" in one(tmp_path, document("Language: C")).text


def test_nothing_given_takes_a_value_away(tmp_path: Path) -> None:
    assert "part" not in one(tmp_path, document("Inherit: [Device], PartSize: ", SECTIONS) | SCRIPTS).text


@pytest.mark.parametrize(
    ("configuration", "url"),
    [
        ("Repos: [core]", "http://e.org/@REL@/@ARCH@"),
        ("Repos: [core], Architecture: i486", "http://e.org/@REL@/i486"),
        ("Repos: [core], Architecture: i686, RepositoryArchitecture: i586", "http://e.org/@REL@/i586"),
        ('Repos: [core], RepositoryURLVariables: {"@REL@": "1.0"}', "http://e.org/1.0/@ARCH@"),
        ("Repos: [core], ImageType: rnd", "http://e.org/rnd/"),
        ("Repos: [core], ImageType: other", "http://e.org/@REL@/@ARCH@"),
    ],
)
def test_the_url_of_a_repository_is_that_of_the_image(tmp_path: Path, configuration: str, url: str) -> None:
    more = "Repositories: [{Name: core, Url: 'http://e.org/@REL@/@ARCH@', Url-rnd: 'http://e.org/rnd/'}]\n"
    assert f"repo --name=core --baseurl={url}\n" in one(tmp_path, document(configuration, more=more)).text


def test_variables_of_the_file_and_given_tokens_are_replaced_behind_those_of_the_image(tmp_path: Path) -> None:
    more = (
        "Repositories: [{Name: core, Url: 'http://e.org/@A@/@B@/@C@'}]\n"
        'RepositoryURLVariables: {"@A@": "no", "@B@": "@C@"}\n'
    )
    configuration = 'Repos: [core], RepositoryURLVariables: {"@A@": "1"}'
    found = one(tmp_path, document(configuration, more=more), tokens={"C": "3"})
    assert "--baseurl=http://e.org/1/3/3\n" in found.text


def test_a_repository_without_a_url_for_the_image_type_is_left_out(tmp_path: Path) -> None:
    more = "Repositories: [{Name: qt, Url-rnd: 'http://e.org/rnd/'}]\n"
    assert "repo " not in one(tmp_path, document("Repos: [qt], ImageType: release", more=more)).text


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("RepositoryOptions: --save\n", "--save"),
        ("Base: {RepositoryOptions: --save --debuginfo}\n", "--save --debuginfo"),
        ("Base: {RepositoryOptions: --save}\nRepositoryOptions: --source\n", "--save"),
    ],
)
def test_options_of_every_repository_stand_before_its_own(tmp_path: Path, more: str, line: str) -> None:
    repositories = "Repositories: [{Name: core, Url: 'http://e.org', Options: --priority=3}]\n"
    sections = more if "Base" in more else f"Base: {{}}\n{more}"
    found = one(tmp_path, document("Repos: [core], Inherit: [Base]", sections, repositories))
    assert f"repo --name=core --baseurl=http://e.org {line} --priority=3\n" in found.text


def test_external_files_are_one_description_and_scripts_are_found_in_their_directories(tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "main.yaml": """\
            ExternalConfigs: [base, scripts]
            Configurations: [{Name: a, Inherit: [Base], Repos: [core]}]
            """,
        "base/00.yaml": """\
            Repositories: [{Name: core, Url: 'http://e.org'}]
            Base: {PostScripts: [x.post], Part: disk}
            """,
        "scripts/x.post": "echo found\n",
        "scripts/disk": "part / --size=100\n",
    }
    found = one(tmp_path, files)
    assert "echo found\n" in found.text
    assert "\npart / --size=100\n" in found.text
    assert found.sources == ("main.yaml", "base/00.yaml", "scripts/disk", "scripts/x.post")


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("Inherit: [Devise]", "a.yaml:2:25: error: Inherit: there is no section Devise (did you mean Device?)"),
        ("Repos: [cores]", "a.yaml:2:23: error: Repos: there is no repository cores (did you mean core?)"),
        ("PostScripts: [x.post]", "a.yaml:2:29: error: PostScripts: the script x.post is not there"),
        ("Part: disk", "a.yaml:2:21: error: Part: the file disk is not there"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(tmp_path: Path, configuration: str, said: str) -> None:
    more = "Repositories: [{Name: core, Url: 'http://e.org'}]\n"
    (mistake,) = mistakes(tmp_path, document(configuration, SECTIONS, more))
    assert said in str(mistake)
