# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/convert.py: into another dialect, and what is lost on the way."""

import os
from pathlib import Path

import pytest

from imgcore.kickstart import decode
from imgcore.kickstart.convert import convert
from imgcore.kickstart.read import read_all
from imgcore.kickstart.versions import dialect

_CORPUS = Path(os.environ.get("IMAGER_CORPUS") or Path(__file__).parents[4] / "shared/data/kickstarts")
FILES = sorted(_CORPUS.rglob("*.ks")) if _CORPUS.is_dir() else []


@pytest.mark.parametrize(
    ("before", "to", "after", "lost"),
    [
        ("lang en  # c\n", "rhel9", "lang en  # c\n", []),
        (
            "part / --size=3 --align=8 --fstype=ext4\n",
            "rhel9",
            "part / --size=3 --fstype=ext4\n",
            ["--align of part"],
        ),
        ("part / --size=3 --align 8 # c\n", "rhel9", "part / --size=3  # c\n", ["--align of part"]),
        (
            "repo --name=a --baseurl=http://x --ssl_verify=no --save\n",
            "fedora",
            "repo --name=a --baseurl=http://x --noverifyssl --install\n",
            [],
        ),
        ("repo --name=a --baseurl=http://x --ssl_verify=yes\n", "fedora", "repo --name=a --baseurl=http://x\n", []),
        ("desktop --session=x\n", "fedora", "# desktop --session=x\n", ["desktop"]),
        ("install\nlang en\n", "fedora", "# install\nlang en\n", ["install"]),
        ("timezone --isUtc UTC\n", "mic", "timezone --isUtc UTC\n", []),
        ("%attachment\n/x\n\n%end\n", "f41", "# %attachment\n# /x\n\n# %end\n", ["section %attachment"]),
        ("%packages --instLangs=de\na\n%end\n", "fedora", "%packages --inst-langs=de\na\n%end\n", []),
        ("%packages\na\n%post\nb\n", "fedora", "%packages\na\n%end\n%post\nb\n%end\n", []),
        ("%packages\na\n%post\nb\n%end\n", "fedora", "%packages\na\n%end\n%post\nb\n%end\n", []),
        ("%packages\na\n%post\nb\n", "fc6", "%packages\na\n%post\nb\n", []),
        (
            "# -*-mic2-options-*- -f raw -*-mic2-options-*-\nlang en\n",
            "fedora",
            "# mic2-options: -f raw mic2-options:\nlang en\n",
            ["the options of mic in the header"],
        ),
    ],
)
def test_only_what_must_changes_and_what_is_lost_is_told(before: str, to: str, after: str, lost: list[str]) -> None:
    done = convert(before, "x.ks", dialect(to))
    assert done.text == after
    assert [each.what.removesuffix(f" cannot be carried over to {to}") for each in done.lost] == lost


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("to", ["mic", "fedora", "rhel9", "f8"])
def test_the_result_is_read_by_that_dialect_and_twice_is_as_once(path: Path, to: str) -> None:
    text = convert(decode(path.read_bytes(), path.name), path.name, dialect(to)).text
    found = read_all(
        text.encode(), path.name, reader=dialect(to).reader(), tokens={"ARCH": "a", "RELEASE": "1"}
    ).found
    assert [str(each) for each in found if each.grade == 3 and each.rule == "syntax"] == []
    assert convert(text, path.name, dialect(to)).text == text
