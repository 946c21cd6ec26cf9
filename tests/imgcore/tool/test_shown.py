# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/tool/shown.py: of this machine a build sees its repositories, and nothing else that it names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcore.tool.shown import Shown

KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----"
METALINK = b'<?xml version="1.0"?>\n<metalink version="3.0"><files/></metalink>\n'
MIRRORS = b"# mirrors\nhttp://a.example/x\n\nhttps://b.example/y\r\n"
FILES = {
    ".ssh/id_rsa": b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n",
    "secret.asc": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----\n",
    "shadow": b"root:$y$x:20000:0:99999:7:::\n",
    "netrc": b"machine a.example login me password x\n",
    "mirrors.conf": MIRRORS + b"password = x\n",
    ".git-credentials": b"https://me:password@a.example\n",
    "remarks": b"# password\n",
    "empty": b"",
}


def repository(place: Path) -> Path:
    (place / "repodata").mkdir(parents=True)
    (place / "repodata/repomd.xml").touch()
    return place


def test_a_repository_is_shown_once_and_with_what_is_in_it_only(tmp_path: Path) -> None:
    one, two = repository(tmp_path / "one"), repository(tmp_path / "one/two it")
    shown = Shown()
    assert shown.inside(one.as_uri(), whole=True) == "file:///run/imager/readable/0"
    assert shown.inside(two.as_uri(), whole=True) == "file:///run/imager/readable/1"
    assert shown.inside(f"file://{one}", whole=True) == "file:///run/imager/readable/0"
    assert (shown.directories, shown.files) == ([one, two], {})


@pytest.mark.parametrize("path", ["", "/one/repodata", "/empty", "/file", "/none", "/one/..", "/loop", "%00"])
def test_no_other_directory_is_shown(tmp_path: Path, path: str) -> None:
    repository(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    shown, url = Shown(), f"file://{tmp_path}{path}"
    assert shown.inside(url, whole=True) == url
    assert shown.directories == []


@pytest.mark.parametrize("url", ["file:one", "one", "/one", "http://h/one", "file:"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_no_whole_path_of_this_machine_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, whole: bool
) -> None:
    monkeypatch.chdir(repository(tmp_path / "x").parent)
    (tmp_path / "x").rename(tmp_path / "one")
    shown = Shown()
    assert shown.inside(url, whole=whole) == url and (shown.directories, shown.files) == ([], {})


@pytest.mark.parametrize(
    ("content", "handed_in"),
    [(b"pub me\n" + KEY + b"\nmore", KEY + b"\n"), (2 * (KEY + b"\n"), 2 * (KEY + b"\n")), (METALINK, METALINK),
     (MIRRORS, b"http://a.example/x\nhttps://b.example/y\n")],
)  # fmt: skip
def test_of_a_key_or_a_list_of_mirrors_the_content_is_handed_in_and_its_directory_is_not_shown(
    tmp_path: Path, content: bytes, handed_in: bytes
) -> None:
    (tmp_path / "my file").write_bytes(content)
    shown = Shown()
    assert shown.inside((tmp_path / "my file").as_uri(), whole=False) == "file:///run/imager/in/0-my%20file"
    assert (shown.directories, shown.files) == ([], {"0-my file": handed_in})


def test_no_other_file_is_handed_in_whatever_it_is_called(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "large").write_bytes(MIRRORS + b"#" * (1 << 20))
    os.mkfifo(tmp_path / "pipe")
    shown = Shown()
    for name in (*FILES, "large", "pipe", "none", ".", "%00"):
        url = f"file://{tmp_path}/{name}"
        assert shown.inside(url, whole=False) == url, name
    assert (shown.directories, shown.files) == ([], {})
