# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/creator/image/pack.py and compress.py: read back by tar, the compressors and Python's tarfile."""

from __future__ import annotations

import bz2
import gzip
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.creator.image import compress, pack
from imgcore.errors import BuildError
from tests.support import imaging

EPOCH = imaging.EPOCH


def packed(tmp_path: Path, name: str = "x.tar") -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    imaging.fill(tree)
    pack.tree(tree, tmp_path / name, EPOCH)
    return tmp_path / name


def test_entries_are_sorted_numeric_and_not_newer_than_the_plan(tmp_path: Path) -> None:
    with tarfile.open(packed(tmp_path)) as archive:
        entries = archive.getmembers()
    names = [entry.name for entry in entries]
    assert names[0] == "." and names[1:] == sorted(names[1:], key=lambda name: name.split("/"))
    assert all(not entry.uname and not entry.gname and entry.mtime <= EPOCH for entry in entries)
    assert {entry.name: int(entry.mtime) for entry in entries}["./etc/hostname"] == EPOCH - 1000
    note = next(entry for entry in entries if entry.name == "./home/user/note")
    assert (note.uid, note.gid) == imaging.OWNER


def test_tar_gives_back_what_was_packed(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    imaging.output("tar", "-C", out, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", archive)
    tree = tmp_path / "tree"
    imaging.output("diff", "-r", "--no-dereference", tree, out)
    for path in (tree, *tree.rglob("*")):
        one, other = path.lstat(), (out / path.relative_to(tree)).lstat()
        assert (one.st_mode, one.st_uid, one.st_nlink) == (other.st_mode, other.st_uid, other.st_nlink), path
    assert (out / "bin/program").samefile(out / "usr/alias")
    assert os.getxattr(out / "bin/program", imaging.ATTRIBUTE) == imaging.CAPABILITY
    assert (out / "sparse").stat().st_blocks * 512 < 100_000
    assert archive.stat().st_size < 2_000_000


def test_names_of_any_length_and_bytes_survive(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    names = ["x" * 255, "a b\nc", "ä\udcff", "-rf"]
    for name in names:
        (tree / ("deep/" * 30)).mkdir(parents=True, exist_ok=True)
        (tree / ("deep/" * 30) / name).write_text("here")
        (tree / name).symlink_to("y" * 300)
    pack.tree(tree, tmp_path / "x.tar", EPOCH)
    out = tmp_path / "out"
    out.mkdir()
    imaging.output("tar", "-C", out, "-xf", tmp_path / "x.tar")
    assert {path.name for path in out.iterdir()} == {path.name for path in tree.iterdir()} == {*names, "deep"}
    assert sorted((out / ("deep/" * 30)).iterdir()) == sorted(out / ("deep/" * 30) / name for name in names)
    assert (out / "-rf").readlink() == Path("y" * 300)


def test_how_zeros_are_stored_does_not_show(tmp_path: Path) -> None:
    sizes = {"sparse": 5_000_000, "odd": 700_001, "full of holes": 1 << 20}
    for name in ("dense", "holes"):
        (tmp_path / name).mkdir()
        for file, size in sizes.items():
            with (tmp_path / name / file).open("wb") as target:
                target.write(b"begin" if file != "full of holes" else b"")
                if name == "dense":
                    target.write(bytes(size - target.tell()))
                target.truncate(size)
        os.utime(tmp_path / name, (EPOCH, EPOCH))
        pack.tree(tmp_path / name, tmp_path / f"{name}.tar", EPOCH)
    assert (tmp_path / "dense.tar").read_bytes() == (tmp_path / "holes.tar").read_bytes()
    assert (tmp_path / "dense.tar").stat().st_size < 30_000
    with tarfile.open(tmp_path / "dense.tar") as archive:
        for file, size in sizes.items():
            member = archive.extractfile(f"./{file}")
            assert member is not None
            content = member.read()
            assert len(content) == size and content == (tmp_path / "dense" / file).read_bytes()


@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 400_000)), min_size=1, max_size=6))
def test_any_mixture_of_data_and_zeros_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("sparse")
    content = b"".join(b"\1" * size if data else bytes(size) for data, size in pieces)
    (folder / "file").write_bytes(content)
    pack.files([folder / "file"], folder / "x.tar", EPOCH)
    with tarfile.open(folder / "x.tar") as archive:
        member = archive.extractfile("file")
        assert member is not None and member.read() == content
    imaging.output("tar", "-C", folder, "-xf", folder / "x.tar")
    assert (folder / "file").read_bytes() == content


@pytest.mark.parametrize(
    ("ending", "command"),
    [
        ("tar", "cat"), ("tar.gz", "gzip"), ("tgz", "gzip"), ("tar.bz2", "bzip2"), ("tbz2", "bzip2"),
        ("tar.xz", "xz"), ("txz", "xz"), ("tar.zst", "zstd"), ("tzst", "zstd"),
    ],
)  # fmt: skip
def test_the_ending_decides_how_it_is_compressed(tmp_path: Path, ending: str, command: str) -> None:
    plain = packed(tmp_path).read_bytes()
    pack.tree(tmp_path / "tree", tmp_path / f"y.{ending}", EPOCH)
    argv = [command] if command == "cat" else [command, "-dc"]
    with (tmp_path / f"y.{ending}").open("rb") as source:
        assert subprocess.run(argv, stdin=source, capture_output=True, check=True).stdout == plain


@pytest.mark.parametrize("name", ["x", "x.zip", "x.gz", "tar", "x.tar.Z", "x.tarx"])
def test_an_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(BuildError, match="no kind of archive") as told:
        pack.method_of(name)
    assert told.value.cause == "unsupported"


@pytest.mark.parametrize(("method", "size"), [("gz", 2), ("bz2", 2), ("xz", 15), ("zst", 15)])
def test_the_number_of_threads_does_not_show(
    tmp_path: Path, method: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(500_000) + b"text " * (size * 200_000))
    results = set()
    for count in (1, 3, 8):
        monkeypatch.setattr(compress, "threads", lambda count=count: count)
        pack.compress(tmp_path / "source", tmp_path / f"x{count}", method, EPOCH)
        results.add((tmp_path / f"x{count}").read_bytes())
    assert len(results) == 1


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 1_300_000), max_size=4))
def test_pieces_of_any_size_come_back_from_gz_and_bz2(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    pieces = [bytes([number % 7]) * size for number, size in enumerate(sizes)]
    for method, module in (("gz", gzip), ("bz2", bz2)):
        with compress.compressed(folder / method, method, EPOCH) as sink:
            for piece in pieces:
                sink.write(piece)
        assert module.open(folder / method).read() == b"".join(pieces)
    imaging.output("gzip", "-t", "-S", "gz", folder / "gz")


def test_a_compressor_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(300_000))
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(BuildError, match=r"xz ended with status 1: .*No space left"):
        pack.compress(tmp_path / "source", tmp_path / "full", "xz", EPOCH)
