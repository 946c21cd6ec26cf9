# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/online.py against a small web server."""

import bz2
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.kickstart.examine import examine
from tests.support.web import Site, serve

REPOMD = """<repomd xmlns="http://linux.duke.edu/metadata/repo">
<data type="primary"><location href="repodata/{}"/></data></repomd>"""
PRIMARY = """<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
<package type="rpm"><name>vim</name><format><rpm:provides><rpm:entry name="editor"/></rpm:provides></format></package>
</metadata>"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "repodata").mkdir()
    (tmp_path / "repodata/repomd.xml").write_text(REPOMD.format("p.xml.gz"))
    (tmp_path / "repodata/p.xml.gz").write_bytes(gzip.compress(PRIMARY.encode()))
    with serve(tmp_path) as found:
        yield found


def told(url: str, *packages: str, more: str = "") -> list[str]:
    text = f"repo --name=a --baseurl={url}\n{more}%packages\n" + "".join(f"{each}\n" for each in packages) + "%end\n"
    return [str(each) for each in examine(text.encode(), "x.ks", online=True).found if each.rule == "online"]


def test_packages_that_no_repository_has_are_told_with_the_nearest(site: Site) -> None:
    assert told(site.url, "vim", "editor", "vi*", "@core", "-ed") == []
    assert told(site.url, "vmi", "vimm") == [
        "x.ks, line 3: no repository has the package vmi",
        "x.ks, line 4: no repository has the package vimm (did you mean vim?)",
    ]


def test_a_repository_that_is_not_there_is_told_and_packages_are_not_judged_then(site: Site) -> None:
    assert told(f"{site.url}/none", "x") == ["x.ks, line 1: repository a: it answered 404 Not Found"]
    assert told("http://127.0.0.1:1/", "x")[0].startswith("x.ks, line 1: repository a: it does not answer")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("repomd.xml", b"nothing"),
        ("repomd.xml", b"<repomd/>"),
        ("p.xml.gz", b"nothing"),
        ("p.xml.gz", gzip.compress(b"nothing", mtime=0)[:10] + b"\xff" * 20),
        ("p.xml.gz", gzip.compress(b"<metadata>")),
    ],
)
def test_metadata_that_is_none_is_told(site: Site, file: str, content: bytes) -> None:
    (site.top / "repodata" / file).write_bytes(content)
    (told_once,) = told(site.url, "x")
    assert told_once.startswith("x.ks, line 1: repository a: its metadata")


def test_packages_are_not_judged_where_a_repository_cannot_be_looked_into(site: Site) -> None:
    (site.top / "repodata/repomd.xml").write_text(REPOMD.format("p.xml.zst"))
    (told_once,) = told(site.url, "x")
    assert told_once.endswith("its list of packages is packed as zst")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--mirrorlist=http://m/", "it is a list of mirrors"),
        ("--metalink=http://m/", "it is a list of mirrors"),
        ("--baseurl=file:///srv", "it is no http or https URL"),
        ("--baseurl=http://me:hidden@m/", "it wants a user and a password"),
    ],
)
def test_what_cannot_be_looked_into_is_told_and_packages_are_not_judged_then(site: Site, line: str, why: str) -> None:
    text = f"repo --name=a --baseurl={site.url}\nrepo --name=b {line}\n%packages\nx\n%end\n"
    found = [each for each in examine(text.encode(), "x.ks", online=True).found if each.rule == "online"]
    assert [(str(each.grade), each.place.line) for each in found] == [("warning", 2)]
    assert found[0].what == f"repository b is not looked into, and packages are not looked for: {why}"


def test_a_list_of_packages_that_is_packed_with_bzip2_is_read(site: Site) -> None:
    (site.top / "repodata/repomd.xml").write_text(REPOMD.format("p.xml.bz2"))
    (site.top / "repodata/p.xml.bz2").write_bytes(bz2.compress(PRIMARY.encode()))
    assert told(site.url, "vim") == []
    assert len(told(site.url, "vom")) == 1
