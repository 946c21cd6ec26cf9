# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML that describes images, for who has no kickstart: generated, and built at once."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.support import example
from tests.support.img import Home
from tests.support.virtual_machine import VirtualMachine

pytestmark = pytest.mark.real

YAML = example.CHECKOUT / "examples/kickstarter/tiny.yaml"


@pytest.fixture
def tokens() -> str:
    return f"--tokenmap=REPO:{example.repository()},RELEASE:7.1"


def test_an_image_of_the_example_is_built_by_its_name(home: Home, tokens: str) -> None:
    record = home.build(YAML, "--name=Tiny as a tree", tokens)
    assert (record["status"], record["name"], record["image_type"], record["arch"]) == (
        "DONE", "tiny-tree", "fs", "x86_64",
    )  # fmt: skip
    with tarfile.open(example.delivered(record, "archive")) as archive:
        release = archive.extractfile("./etc/tiny-release")
        assert release is not None
        assert release.read() == b"7.1\n"
        assert "./usr/share/tiny" not in archive.getnames()
    delivered = example.delivered(record, "kickstart").read_text(encoding="utf-8")
    assert "# Tiny as a tree: generated" in delivered
    assert "scripts/release.post" in delivered


def test_a_generated_kickstart_builds_a_disk_that_starts(home: Home, tokens: str, tmp_path: Path) -> None:
    made = home.img("ks", "generate", YAML, "--name", "tiny-disk", "--outdir", tmp_path / "ks", "--tool=builtin")
    assert (made.code, made.err) == (0, "")
    assert made.out == f"{tmp_path}/ks/tiny-disk.ks\n"
    record = home.build(tmp_path / "ks/tiny-disk.ks", tokens)
    assert record["image_type"] == "raw"
    assert any(each["name"].startswith("config-") for each in record["artifacts"])
    with VirtualMachine(example.delivered(record, "image")) as machine:
        machine.expect(r"^tiny: 7\.1 ready$")


def test_the_name_must_say_which_where_there_are_more(home: Home) -> None:
    done = home.img("build", YAML)
    assert done.code == 2
    assert "describes 2 images (name one with --name, such as tiny-disk)" in done.err
    assert not home.spool.exists()
