# SPDX-License-Identifier: GPL-2.0-or-later
"""Real YAML of the field, where it is at hand (IMAGER_CORPUS, or beside the checkout)."""

import os
import re
from pathlib import Path

import pytest

from imgcore.creator.plan import from_json, to_json
from imgcore.kickstart import plan, read
from imgcore.kickstarter import Generated, Mistake, Request, generate

_CORPUS = os.environ.get("IMAGER_CORPUS")
_PLACE = Path(_CORPUS).parent if _CORPUS else Path(__file__).parents[4] / "shared/data"
MER, MEEGO = _PLACE / "kickstarter/mer/00reference.yaml", _PLACE / "kickstarter/meego/configurations.yaml"
FILES = [each for each in (MER, MEEGO) if each.is_file()]


def made(path: Path) -> tuple[tuple[Generated, ...], tuple[Mistake, ...]]:
    return generate(Request(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("image_type", ["fs", "raw"])
def test_every_image_becomes_a_kickstart_that_becomes_a_plan(path: Path, image_type: str) -> None:
    found, _ = made(path)
    assert len(found) == {MER: 25, MEEGO: 8}[path]
    for each in found:
        tokens = dict.fromkeys(re.findall(r"@([A-Z_]+)@", each.text), "1")
        kickstart = read(each.text.encode(), each.file_name, tokens=tokens)
        planned, _ = plan(kickstart, name="x", arch="i486", image_type=image_type, source_date_epoch=1)
        assert from_json(to_json(planned)) == planned
        assert planned.repositories
        assert planned.packages.groups or planned.packages.names
        assert planned.scripts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_image_is_the_same_each_time_and_when_it_is_asked_for_alone(path: Path) -> None:
    found, _ = made(path)
    assert made(path)[0] == found
    for each in found:
        ((alone,), _) = generate(Request(path, each.name))
        assert alone.text == each.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_will_not_be_as_it_was_asked_for_is_told(path: Path) -> None:
    told = [each.key for each in made(path)[1]]
    assert told == {MER: ["ExternalConfigs"], MEEGO: ["FileName", "BootloaderOptions"]}[path]
