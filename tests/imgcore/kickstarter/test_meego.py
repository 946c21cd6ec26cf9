# SPDX-License-Identifier: GPL-2.0-or-later
"""MeeGo's dialect: Default, platform, image; repositories in a file of their own."""

from pathlib import Path

import pytest

from tests.support.described import mistakes, one, put

MAIN = """\
Default:
    Language: en_US.UTF-8
    Keyboard: us
    Baseline: 1.10
    SaveRepos: True
    PartSize: 1900
    Groups: [Core, Compliance]
    PostScripts: [rpm]
NETBOOK:
    PartSize: 3000
    Architecture: i586
    Groups: [X for Netbooks, Core]
    Kernel: kernel
    PostScripts: [cleanup]
    NoChrootScripts: [buildname]
Configurations:
    - Name: Netbook
      Platform: NETBOOK
      Mic2Options: -f livecd
      Repos: [core, extra]
      PostScripts: [rpm]
      ExtraPackages: [chromium]
"""
REPOSITORIES = """\
Repositories:
    - Name: core
      Url: http://e.org/@RELEASE@/@BUILD_ID@/@ARCH@
    - Name: extra
      Url: https://e.org/extra?x=1
      Username: me@home
      Password: a/b
      Options: --priority=5
"""
FILES = {
    "images.yaml": MAIN,
    "repos.yaml": REPOSITORIES,
    "custom/scripts/rpm.post": "echo rpm\n",
    "scripts/cleanup.post": "echo cleanup\n",
    "custom/scripts/buildname.nochroot": "echo buildname\n",
}


def test_an_image_is_its_platform_on_the_default(tmp_path: Path) -> None:
    found = one(tmp_path, FILES)
    assert found.name == "Netbook"
    assert found.image_type == "livecd"
    text = found.text
    assert text.startswith("# -*-mic2-options-*- -f livecd --arch=i586 -*-mic2-options-*-\n")
    assert "part / --size=3000 --ondisk=sda --fstype=ext4\n" in text
    assert "repo --name=core --baseurl=http://e.org/1.10/@BUILD_ID@/i586 --save --debuginfo --source\n" in text
    assert 'repo --name=extra --baseurl="https://me%40home:a%2Fb@e.org/extra?x=1" --priority=5\n' in text
    assert "%packages\n@Core\n@Compliance\n@X for Netbooks\nkernel\nchromium\n%end\n" in text
    assert "%post\necho rpm\n\necho cleanup\n%end\n\n%post --nochroot\necho buildname\n%end\n" in text


def test_each_file_of_an_external_directory_is_an_image(tmp_path: Path) -> None:
    main = "ExternalConfigs: [netbook]\nDefault: {Language: C}\nNETBOOK: {Keyboard: us}\n"
    image = "Name: External\nPlatform: NETBOOK\nFileName: external\n"
    found = one(tmp_path, {"images.yaml": main, "netbook/one.yaml": image, "netbook/notes.txt": "not YAML: ["})
    assert found.file_name == "external"
    assert "lang C\nkeyboard us\n" in found.text
    assert found.sources == ("images.yaml", "netbook/one.yaml")


def test_repositories_of_given_files_and_of_the_main_one_are_taken(tmp_path: Path) -> None:
    main = "Default: {}\nRepositories: [{Name: a, Url: http://a}]\nConfigurations: [{Name: i, Repos: [a, b]}]\n"
    other = put(tmp_path / "other", {"b.yaml": "Repositories: [{Name: b, Url: http://b}]\n"})
    text = one(tmp_path / "work", {"images.yaml": main}, repos=[other]).text
    assert "repo --name=a --baseurl=http://a\nrepo --name=b --baseurl=http://b\n" in text


def test_a_partition_file_is_found_without_its_directory(tmp_path: Path) -> None:
    main = "Default: {Part: n900}\nConfigurations: [{Name: i}]\n"
    found = one(tmp_path, {"images.yaml": main, "custom/part/n900": "# Disk\npart / --size=1800\n"})
    assert "# Disk\npart / --size=1800\n" in found.text


def test_sections_are_inherited_between_default_and_platform(tmp_path: Path) -> None:
    main = """\
    Default: {Language: C, Keyboard: us, Timezone: UTC}
    Shared: {Language: en_US.UTF-8, Keyboard: de}
    P: {Keyboard: fr}
    Configurations: [{Name: i, Platform: P, Inherit: [Shared]}]
    """
    assert "lang en_US.UTF-8\nkeyboard fr\ntimezone --utc UTC\n" in one(tmp_path, {"images.yaml": main}).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("Platform: NETBOOK", "Platform: NETBOK"), "yaml:18:17: error: Platform: there is no platform NETBOK"),
        (("[core, extra]", "[core, xtra]"), "yaml:20:21: error: Repos: there is no repository xtra (did"),
        (("[cleanup]", "[clean]"), "images.yaml:14:19: error: PostScripts: the script clean.post is not there"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_with_the_nearest(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    (mistake,) = mistakes(tmp_path, FILES | {"images.yaml": MAIN.replace(*change)})
    assert said in str(mistake)
