# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imgcore.creator.plan import Repository
from tests.imgcore.creator.packages.test_packages import failure
from tests.imgcore.creator.packages.test_repositories import with_repositories
from tests.support.creator import create
from tests.support.rpms import Key, Rpm, make_key, make_repository
from tests.support.web import serve

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    return make_repository(tmp_path_factory.mktemp("signed"), [Rpm("one"), Rpm("two", requires=["one"])], key=key)


def test_packages_that_are_signed_with_the_named_key_are_installed(tmp_path: Path, signed: Path, key: Key) -> None:
    with serve(key.public.parent) as site:
        for number, url in enumerate((str(key.public), key.public.as_uri(), f"{site.url}/{key.public.name}")):
            repository = Repository("signed", signed.as_uri(), gpg_key=url, line=4)
            run = create(tmp_path / str(number), with_repositories(["two"], repository))
            assert run.status == 0, run.log
            assert "The signatures of 2 packages of repository signed are good" in run.log
    # Neither the key nor the database that held it is in the image.
    assert not [path for path in run.tree.rglob("*") if "key" in path.name.lower()]


def test_a_package_without_a_signature_is_told(tmp_path: Path, repository: Path, key: Key) -> None:
    wanted = with_repositories(["lib"], Repository("main", repository.as_uri(), gpg_key=str(key.public), line=4))
    cause, text = failure(create(tmp_path, wanted))
    assert cause == "signature"
    assert text.startswith("image.ks, line 4: package base-files-1.0-1.noarch of repository main is not signed")


def test_a_package_that_is_signed_with_another_key_is_told(tmp_path: Path, signed: Path) -> None:
    other = make_key(tmp_path / "other", "Somebody Else <else@example.org>")
    wanted = with_repositories(["one"], Repository("main", signed.as_uri(), gpg_key=str(other.public), line=4))
    cause, text = failure(create(tmp_path / "1", wanted))
    assert cause == "signature"
    assert text.startswith(
        "image.ks, line 4: package one-1.0-1.noarch of repository main is signed with another key ("
    )


def test_a_key_of_one_repository_does_not_vouch_for_another(tmp_path: Path, signed: Path, key: Key) -> None:
    other = make_key(tmp_path / "other", "Somebody Else <else@example.org>")
    mine = make_repository(tmp_path / "mine", [Rpm("three")], key=other)
    good = Repository("signed", signed.as_uri(), gpg_key=str(key.public), line=4)
    wanted = with_repositories(
        ["one", "three"], good, Repository("mine", mine.as_uri(), gpg_key=str(key.public), line=5)
    )
    cause, text = failure(create(tmp_path / "1", wanted))
    assert cause == "signature"
    assert text.startswith(
        "image.ks, line 5: package three-1.0-1.noarch of repository mine is signed with another key"
    )


def test_a_signed_package_that_was_changed_is_told(tmp_path: Path, signed: Path, key: Key) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(signed, copy)
    package = copy / "one-1.0-1.noarch.rpm"
    content = bytearray(package.read_bytes())
    content[-10] ^= 0xFF
    package.write_bytes(content)
    wanted = with_repositories(["one"], Repository("main", copy.as_uri(), gpg_key=str(key.public), line=4))
    cause, text = failure(create(tmp_path / "1", wanted))
    assert cause == "signature"
    assert "package one-1.0-1.noarch of repository main is damaged or forged" in text


@pytest.mark.parametrize("what", ["missing", "junk"])
def test_a_key_that_cannot_be_used_is_told(tmp_path: Path, signed: Path, what: str) -> None:
    path = tmp_path / "key"
    if what == "junk":
        path.write_text("this is no key\n")
    wanted = with_repositories(["one"], Repository("main", signed.as_uri(), gpg_key=str(path), line=4))
    cause, text = failure(create(tmp_path / "1", wanted))
    assert cause == "signature"
    assert text.startswith(f"image.ks, line 4: the GPG key {path} of repository main ")


def test_a_key_that_cannot_be_read_is_told_without_its_password(tmp_path: Path, signed: Path) -> None:
    key = "http://me:pw@127.0.0.1:9/key"
    wanted = with_repositories(["one"], Repository("main", signed.as_uri(), gpg_key=key, line=4))
    _, text = failure(create(tmp_path / "1", wanted))
    assert text.startswith("image.ks, line 4: the GPG key http://127.0.0.1:9/key of repository main cannot be read: ")
