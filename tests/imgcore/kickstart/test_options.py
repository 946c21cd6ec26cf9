# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from imgcore.errors import InputError
from imgcore.kickstart.options import options, release_of


@pytest.mark.parametrize(
    ("given", "image_type", "field", "value"),
    [
        (["--pack-to=@NAME@.tar.bz2"], "fs", "pack_to", "@NAME@.tar.bz2"),
        (["--pack-to", "a.tar.zst"], "loop", "pack_to", "a.tar.zst"),
        (["--copy-kernel"], "raw", "copy_kernel", True),
        (["--compress-image=xz"], "raw", "compress", "xz"),
        (["--compress-disk-image", "gz"], "raw", "compress", "gz"),
        (["--release=4.5.0"], "fs", "release", "4.5.0"),
        (["--record-pkgs=name", "--generate-bmap"], "raw", "warnings", ()),
    ],
)
def test_the_options_of_mic_are_understood(given: list[str], image_type: str, field: str, value: object) -> None:
    assert getattr(options(given, image_type), field) == value


@pytest.mark.parametrize(
    ("given", "image_type", "words"),
    [
        (["--outdir=/x"], "fs", "--outdir=/x is not one of the built-in creator"),
        (["--pack-too=x"], "fs", "did you mean --pack-to"),
        (["--pack-to"], "fs", "needs a value"),
        (["--pack-to=../x.tar"], "fs", "cannot be used"),
        (["--pack-to=-x.tar"], "fs", "cannot be used"),
        (["--pack-to=x.zip"], "fs", "no ending of an archive"),
        (["--compress-image=rar"], "raw", "rar is not known"),
        (["--compress-image=gz"], "fs", "no meaning for an image of type fs"),
        (["--release=a b"], "fs", "cannot be used"),
        (["x"], "fs", "extra option x is not one"),
    ],
)
def test_other_options_are_refused_by_name(given: list[str], image_type: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        options(given, image_type)


def test_what_changes_nothing_is_told() -> None:
    found = options(["--generate-bmap", "--record-pkgs=name,license"], "loop")
    assert len(found.warnings) == 2


@pytest.mark.parametrize(
    ("given", "release"),
    [
        ([], ""),
        (["--copy-kernel", "--release=1.2"], "1.2"),
        (["--release", "1.2", "--unknown-here"], "1.2"),
        (["--release"], ""),
        (["--release=1", "--release=2"], "2"),
    ],
)
def test_the_release_is_found_among_options_of_any_tool(given: list[str], release: str) -> None:
    assert release_of(given) == release
