# SPDX-License-Identifier: GPL-2.0-or-later
"""Files beside the YAML are read; files elsewhere never, whatever leads there."""

from pathlib import Path

import pytest

from imgcore.errors import InputError
from imgcore.kickstarter import Request, generate
from tests.support.described import mistakes, one, put

IMAGE = """\
Configurations:
  - Name: a
    Repos: [r]
    PostScripts: [NAME]
Repositories:
  - {Name: r, Url: http://e.org/r}
"""


def image(name: str) -> str:
    return IMAGE.replace("NAME", f'"{name}"')


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "in/../../secret", "link", "links/secret", "chain"])
def test_a_script_outside_of_the_directory_is_refused_however_it_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path, {"secret": "echo secret\n"})
    work = tmp_path / "work"
    (work / "in").mkdir(parents=True)
    (work / "link").symlink_to("../secret")
    (work / "links").symlink_to("..")
    (work / "chain").symlink_to("link")
    (mistake,) = mistakes(work, {"a.yaml": image(name)})
    assert mistake.spot.line == 4
    assert mistake.key == "PostScripts"
    assert "outside" in mistake.what or "relative path" in mistake.what


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    put(tmp_path, {"real/script": "echo inside\n"})
    (tmp_path / "link").symlink_to("real/script")
    assert "echo inside\n" in one(tmp_path, {"a.yaml": image("link")}).text


@pytest.mark.parametrize("kind", ["pipe", "directory", "binary", "huge"])
def test_what_is_no_text_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    import os

    path = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\0" if kind == "binary" else b"x" * (2**20 + 1))
    (mistake,) = mistakes(tmp_path, {"a.yaml": image("odd")})
    assert mistake.spot.line == 4


def test_a_directory_of_external_files_outside_is_read_only_where_it_was_named(tmp_path: Path) -> None:
    put(tmp_path / "other", {"base.yaml": "Base: {Language: en_US.UTF-8}\n"})
    files = {"a.yaml": "ExternalConfigs: [../other]\nConfigurations: [{Name: a, Inherit: [Base]}]\n"}
    (mistake,) = mistakes(tmp_path / "work", files)
    assert mistake.what == "there is no section Base"
    assert "--external" in mistake.remedy
    found = one(tmp_path / "work", files, external=[tmp_path / "other"])
    assert "lang en_US.UTF-8\n" in found.text


def test_a_root_above_the_file_allows_what_is_below_it(tmp_path: Path) -> None:
    put(tmp_path, {"shared/script": "echo shared\n"})
    files = {"a.yaml": image("../shared/script")}
    assert mistakes(tmp_path / "work", files)
    assert "echo shared\n" in one(tmp_path / "work", files, root=tmp_path).text


def test_a_main_file_that_is_not_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="is not a file"):
            generate(Request(path))


def test_external_files_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    files = {
        "a.yaml": "ExternalConfigs: [one]\nConfigurations: [{Name: a, Inherit: [One, Two]}]\n",
        "one/1.yaml": "ExternalConfigs: [two, one, .]\nOne: {Language: en_US.UTF-8}\n",
        "two/2.yaml": "ExternalConfigs: [one]\nTwo: {Keyboard: us}\n",
    }
    text = one(tmp_path, files).text
    assert "lang en_US.UTF-8\nkeyboard us\n" in text
