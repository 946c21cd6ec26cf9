# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgcore.jobs import manifest
from imgcore.jobs.manifest import Manifest, Package
from tests.support.records import a_job


def test_packages_are_sorted_by_name_with_their_version_as_rpm_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "d.manifest.json"
    path.write_text(json.dumps({"packages": [
        {"name": "b", "epoch": "2", "version": "1", "release": "3", "arch": "noarch", "repository": "base"},
        {"name": "A", "epoch": "0", "version": "1.0", "release": "1"},
        {"name": "c", "epoch": None, "version": 5},
        "nonsense",
    ]}))  # fmt: skip
    assert manifest.read(path) == Manifest(
        (Package("A", "1.0-1", "", ""), Package("b", "2:1-3", "noarch", "base"), Package("c", "5", "", "")), 4
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"packages": 5}', b"null", b"\xff", b"[" * 100_000])
def test_a_damaged_manifest_is_said_and_is_no_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d.manifest.json"
    path.write_bytes(content)
    assert manifest.read(path) == Manifest(problem="the manifest is damaged")


def test_a_manifest_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert "cannot be read" in manifest.read(tmp_path / "none").problem


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "d.manifest.json"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    assert manifest.read(path).problem == "the manifest is too long to be shown"


@pytest.mark.parametrize(("directory", "name"), [("", "d"), ("rel", "d"), ("/x", "a/b"), ("/x", ""), ("/x\0", "d")])
def test_a_record_that_names_no_place_has_no_manifest(directory: str, name: str) -> None:
    assert manifest.path_of(directory, name) is None
    assert manifest.path_of("/srv/x", "d") == Path("/srv/x/d.manifest.json")


def test_a_place_that_cannot_be_has_no_manifest() -> None:
    assert manifest.of(a_job(directory=f"/{'n' * 300}")) is None
