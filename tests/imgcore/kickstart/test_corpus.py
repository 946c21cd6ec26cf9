# SPDX-License-Identifier: GPL-2.0-or-later
"""Real kickstarts of the field, where they are at hand (IMAGER_CORPUS, or beside the checkout)."""

import os
from pathlib import Path

import pytest

from imgcore.creator.plan import from_json, to_json
from imgcore.errors import InputError
from imgcore.kickstart import augment, decode, plan, read, redact

_BESIDE = Path(__file__).parents[4] / "shared/data/kickstarts"
CORPUS = Path(os.environ.get("IMAGER_CORPUS") or _BESIDE)
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file()) if CORPUS.is_dir() else []
OURS = [path for path in FILES if path.parent.name in ("meego-mer", "sailfish")]
TOKENS = {"ARCH": "i486", "RELEASE": "4.5.0"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_read_or_refused_for_a_missing_include(path: Path) -> None:
    content = path.read_bytes()
    try:
        found = read(content, path.name, root=path.parent, tokens=TOKENS)
    except InputError as error:
        assert "is not there" in error.message
    else:
        assert found.commands or found.packages


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
@pytest.mark.parametrize("image_type", ["fs", "loop", "raw"])
def test_every_sailfish_mer_and_meego_file_becomes_a_plan(path: Path, image_type: str) -> None:
    found = read(path.read_bytes(), path.name, tokens=TOKENS)
    made, warnings = plan(found, name="x", arch="i486", image_type=image_type, source_date_epoch=1)
    assert from_json(to_json(made)) == made
    assert made.repositories
    assert made.scripts
    assert made.packages.names or made.packages.groups
    assert len(warnings) <= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_augmentation_of_every_file_only_inserts_and_is_idempotent(path: Path) -> None:
    text = decode(path.read_bytes(), path.name)
    assert augment(text) == text
    once = augment(text, extra_repos=["http://e.org/x"], packages=["extra-package"], groups=["Extra"])
    assert augment(once, extra_repos=["http://e.org/x"], packages=["extra-package"], groups=["Extra"]) == once
    kept = iter(once.split("\n"))
    assert all(line in kept for line in text.split("\n"))
    assert once != text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_redacting_keeps_every_line_but_those_with_a_secret(path: Path) -> None:
    text = decode(path.read_bytes(), path.name)
    changed = [
        before for before, after in zip(text.split("\n"), redact(text).split("\n"), strict=True) if before != after
    ]
    assert all("passw" in line or line.startswith("rootpw") for line in changed)
