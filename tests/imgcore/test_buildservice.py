# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/buildservice.py against a small web server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.buildservice import BuildService
from imgcore.errors import ImagerError, InputError
from tests.support.web import Site, serve


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for top in ("source", "public/source"):
        (tmp_path / top / "P").mkdir(parents=True)
        (tmp_path / top / "P/_meta").write_text('<project><repository name="a"/><repository name="b:c"/></project>')
    with serve(tmp_path) as found:
        yield found


def answer(site: Site, content: bytes) -> None:
    (site.top / "public/source/P/_meta").write_bytes(content)


def credentials(path: Path, text: str = "me:secret\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_project_has_the_repositories_that_the_service_says(site: Site) -> None:
    assert BuildService("obs", "http://r/", site.url).urls("P") == ("http://r/P/a", "http://r/P/b:/c")
    assert site.requests == ["GET /public/source/P/_meta"]


def test_who_has_credentials_asks_with_them(site: Site, tmp_path: Path) -> None:
    site.account = "me:secret"
    service = BuildService("obs", "http://r", site.url, credentials(tmp_path / "c"))
    assert service.urls("P") == ("http://r/P/a", "http://r/P/b:/c")
    with pytest.raises(ImagerError, match="answered 401"):
        BuildService("obs", "http://r", site.url).urls("P")


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("me:secret", 0o644, "can be read by others"), ("secret", 0o600, "not one line USER:PASSWORD")],
)
def test_credentials_that_others_can_read_or_that_are_none_are_refused_unseen(
    site: Site, tmp_path: Path, text: str, mode: int, words: str
) -> None:
    service = BuildService("obs", "http://r", site.url, credentials(tmp_path / "c", text, mode))
    with pytest.raises(InputError, match=words) as caught:
        service.urls("P")
    assert "secret" not in str(caught.value)
    assert site.requests == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no xml", "not understood"),
        (b"\xff\xfe", "not understood"),
        (b"<p>" + b" " * 2**20 + b"</p>", "more than 1 MiB"),
        (b'<project><repository name="../x"/></project>', "not a name of a build service"),
        (b"<project><repository/></project>", "field repository"),
    ],
)
def test_an_answer_that_is_none_is_told(site: Site, content: bytes, words: str) -> None:
    answer(site, content)
    with pytest.raises(ImagerError, match=words):
        BuildService("obs", "http://r", site.url).urls("P")


def test_entities_that_grow_without_bound_are_refused(site: Site) -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    answer(site, f'<!DOCTYPE p [<!ENTITY l0 "lol">{entities}]><p><repository name="&l9;"/></p>'.encode())
    with pytest.raises(ImagerError, match="not understood"):
        BuildService("obs", "http://r", site.url).urls("P")


def test_a_service_that_does_not_answer_is_told() -> None:
    with pytest.raises(ImagerError, match="obs: it does not answer"):
        BuildService("obs", "http://r", "http://127.0.0.1:1").urls("P")


def test_a_service_without_api_has_only_repositories_that_are_named() -> None:
    service = BuildService("obs", "http://r")
    assert service.url("A:B", "c") == "http://r/A:/B/c"
    with pytest.raises(InputError, match="has no api"):
        service.urls("A:B")
