# SPDX-License-Identifier: GPL-2.0-or-later
"""The same kickstart, packages and SOURCE_DATE_EPOCH give the same bytes, whenever, wherever and by whom built."""

from __future__ import annotations

import filecmp
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import example, small
from tests.support.img import EPOCH, Home, at_once

pytestmark = pytest.mark.real

_DISK = "part / --size=24 --fstype=ext4 --label=small\npart swap --size=4 --label=swap\nbootloader --location=none\n"
_SCRIPTS = "%post\necho 1 > /etc/made\n%end\n%post --nochroot\ntouch $INSTALL_ROOT/new\numask\n%end\n"


@dataclass(frozen=True)
class Case:
    """A build: of the small system, or of a kickstart of the example."""

    image_type: str
    options: tuple[str, ...] = ()
    head: str = ""
    example: str = ""
    packages: tuple[str, ...] = ("app", "extra")
    scripts: str = _SCRIPTS


CASES = {
    "fs": Case("fs"),
    **{
        f"fs as tar{end}": Case("fs", (f"--opt=--pack-to=@NAME@.tar{end}",))
        for end in ("", ".gz", ".bz2", ".xz", ".zst")
    },
    **{f"loop {kind}": Case("loop", head=f"part / --size=40 --fstype={kind}\n") for kind in ("ext2", "ext3", "ext4")},
    # FAT has no links, and the shell is one.
    "loop vfat": Case("loop", head="part / --size=40 --fstype=vfat --label=SMALL\n", packages=("extra",), scripts=""),
    "loop as archive": Case("loop", ("--opt=--pack-to=@NAME@.tar.gz",), head="part / --size=24 --fstype=ext4\n"),
    "raw without a boot loader": Case("raw", head=_DISK),
    **{
        f"raw compressed by {end}": Case("raw", (f"--opt=--compress-image={end}",), head=_DISK)
        for end in ("gz", "bz2", "xz", "zst")
    },
    "raw for BIOS": Case("raw", example="tiny.ks"),
    "raw for UEFI": Case("raw", example="tiny-uefi.ks"),
}


class Builder:
    """Builds every case in a home of its own, in its own circumstances."""

    def __init__(self, home: Home, repository: Path, **how: Any) -> None:
        self.home = home
        self.how = how
        self.repository = repository
        self.tiny = example.repository()

    def build(self, name: str) -> Path:
        """The directory that the case delivers."""
        case = CASES[name]
        options: Sequence[str] = ("--type", case.image_type, *case.options)
        if case.example:
            text = (example.EXAMPLE / case.example).read_text()
            options = (*options, "--tokenmap", f"REPO:{self.tiny},RELEASE:1.0,GREETING:hello")
        else:
            text = small.kickstart(self.repository, *case.packages, head=case.head, tail=case.scripts)
        path = self.home.kickstart(text, f"{list(CASES).index(name)}/image.ks")
        record = self.home.build(path, *options, **self.how)
        assert record["source_date_epoch"] == int(EPOCH)
        return Path(record["directory"])


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, tuple[Path, Path]]:
    """What each case delivers, built twice."""
    top = tmp_path_factory.mktemp("reproducible")
    here = Builder(Home(top / "here", SOURCE_DATE_EPOCH=EPOCH), repository)
    elsewhere = Home(
        top / "some where/else", SOURCE_DATE_EPOCH=EPOCH, TZ="Asia/Tokyo", LC_ALL="C", LANG="de_DE.UTF-8"
    )
    there = Builder(elsewhere, repository, umask=0o077, directory=Path("/"))
    names = list(CASES)
    first = at_once(here.build, names, workers=3)
    time.sleep(2)
    # In another order, so that no two of a kind have the same neighbours.
    second = at_once(there.build, names[::-1], workers=3)[::-1]
    return dict(zip(names, zip(first, second, strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_same_build_gives_the_same_bytes(delivered: dict[str, tuple[Path, Path]], name: str) -> None:
    first, second = delivered[name]
    files = sorted(str(each.relative_to(first)) for each in first.rglob("*"))
    assert files == sorted(str(each.relative_to(second)) for each in second.rglob("*"))
    compared = [each for each in files if not each.endswith(".log")]
    assert len(compared) >= 4
    _, different, broken = filecmp.cmpfiles(first, second, compared, shallow=False)
    assert (different, broken) == ([], [])


def test_an_image_that_cannot_be_the_same_twice_says_so(tmp_path: Path, repository: Path) -> None:
    home = Home(tmp_path, SOURCE_DATE_EPOCH=EPOCH)
    path = home.kickstart(small.kickstart(repository, "base", head="part / --size=120 --fstype=btrfs\n"))
    record = home.build(path, "--type=loop")
    assert any("not reproducible" in each for each in record["warnings"])


def test_another_epoch_gives_other_bytes(
    delivered: dict[str, tuple[Path, Path]], tmp_path: Path, repository: Path
) -> None:
    path = delivered["loop ext4"][0] / "image.ks"
    later = Home(tmp_path, SOURCE_DATE_EPOCH=str(int(EPOCH) + 1)).build(path, "--type=loop")
    assert not filecmp.cmp(path.with_name("image.img"), Path(later["directory"]) / "image.img", shallow=False)
