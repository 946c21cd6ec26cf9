# SPDX-License-Identifier: GPL-2.0-or-later
"""Each source says its licence, in a form that programs read (SPDX)."""

from __future__ import annotations

from pathlib import Path

from tests.support.checkout import ROOT, files

_LINE = "SPDX-License-Identifier: GPL-2.0-or-later"
#: What has no room for a line of its own, or says it in another way: debian/copyright; what images and kickstarts are
#: made of; text for people, data and pictures.
_WITHOUT = ("debian/", "docs/man/", "examples/tiny/packages/", "examples/kickstarter/")
_DATA = {".ks", ".json", ".md", ".png", ".typed", ".xml"}
_NAMES = {"LICENSE", "README"}


def test_every_source_says_its_licence_in_its_first_two_lines() -> None:
    sources = [
        name
        for name in files()
        if not name.startswith(_WITHOUT) and Path(name).suffix not in _DATA and Path(name).name not in _NAMES
    ]
    kinds = {Path(name).suffix for name in sources}
    assert kinds >= {".py", ".sh", ".conf", ".service", ".j2", ".css", ".js", ".toml", ".spec", ".pdef", ""}
    silent = [name for name in sources if _LINE not in "".join((ROOT / name).open(encoding="utf-8").readlines()[:2])]
    assert silent == []
