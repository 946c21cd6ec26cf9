# SPDX-License-Identifier: GPL-2.0-or-later
"""`img setup`: a machine, from nothing to its first image."""

from __future__ import annotations

import os
import pty
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support import example, small
from tests.support.img import Home

PLACES = ("spool", "images", "cache", "report")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.repository(tmp_path_factory.mktemp("small") / "repository")


def lame(home: Home, *without: str) -> str:
    """A PATH without some programs."""
    place = home.path / "bin"
    place.mkdir()
    for directory in ("/usr/sbin", "/usr/bin"):
        for path in Path(directory).iterdir():
            if path.name not in without and not (place / path.name).is_symlink():
                (place / path.name).symlink_to(path)
    return str(place)


def test_without_a_terminal_nothing_is_asked_and_nothing_is_made(home: Home) -> None:
    done = home.img("setup")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"img: not there yet: {home.spool}, ")
    assert done.err.endswith("(--yes makes them, or choose others in imager.conf)\n")
    assert not home.data.exists()


def test_a_kickstart_that_is_not_there_is_refused_before_anything_is_made(home: Home) -> None:
    done = home.img("setup", "--yes", "--ks", "gone.ks")
    assert (done.code, done.err) == (2, "img: gone.ks is not there (name a kickstart with --ks)\n")
    assert not home.data.exists()


@pytest.mark.real
def test_what_is_needed_and_not_installed_is_named_with_the_command_that_installs_it(home: Home) -> None:
    done = home.img("setup", "--yes", environment={"PATH": lame(home, "createrepo_c", "cpio")})
    assert done.code == 1
    assert done.err == (
        "img: not installed: createrepo-c, cpio (apt install createrepo-c cpio, then `img setup`)\n"
        if os.geteuid() == 0
        else "img: not installed: createrepo-c, cpio (sudo apt install createrepo-c cpio, then `img setup`)\n"
    )
    assert not home.data.exists()


@pytest.mark.real
def test_the_first_image_of_a_kickstart_is_built_once_and_all_is_told(home: Home, repository: Path) -> None:
    kickstart = home.kickstart(small.kickstart(repository), "first.ks")
    done = home.img("setup", "--yes", "--ks", kickstart, "--json", umask=0o077)
    assert done.code == 0, done.err
    told = done.record
    assert [stat.S_IMODE(Path(each).stat().st_mode) for each in told["made"]] == [0o750, 0o755, 0o755, 0o755]
    assert told["made"] == [str(home.data / each) for each in PLACES]
    assert [line for line in done.err.splitlines() if line.startswith("made ")] == [f"made {e}" for e in told["made"]]
    assert f"building {kickstart} as fs\n" in done.err
    image = told["image"]
    assert Path(image["image"]).stat().st_size > 0
    assert "install" in Path(image["log"]).read_text()
    assert image["job"] in Path(image["page"].removeprefix("file://")).read_text()
    again = home.img("setup", "--ks", kickstart, "--json")
    assert (again.code, again.record["image"], again.record["made"]) == (0, image, [])
    assert len(home.records()) == 1
    done = home.img("setup", "--ks", kickstart)
    assert [line.split()[0] for line in done.out.splitlines()] == ["job", "image", "log", "page"]
    assert done.err == (
        "this machine has what a build needs\nfirst.ks was built before; `img build` builds it anew\n"
    )


@pytest.mark.real
def test_the_example_is_built_where_nothing_else_is_named(home: Home) -> None:
    # What was downloaded once; else it would be now.
    example.repository()
    shutil.copytree(example.CHECKOUT / "build/tiny/downloads", home.data / "cache/example/downloads")
    done = home.img("setup", "--yes", "--json")
    assert done.code == 0, done.err
    assert "repository: " in done.err
    assert done.record["image"]["image"].endswith("/tiny.tar.gz")
    assert [each["status"] for each in home.records()] == ["DONE"]


@pytest.mark.real
def test_an_image_that_cannot_be_built_is_an_error_and_tried_again_the_next_time(home: Home) -> None:
    kickstart = home.kickstart("repo --name=a --baseurl=file:///nowhere\n%packages\na\n%end\n", "first.ks")
    for count in (1, 2):
        done = home.img("setup", "--yes", "--ks", kickstart)
        assert done.code == 1
        assert done.err.splitlines()[-1].startswith("img: the first image was not built")
        assert len(home.records()) == count


def test_at_a_terminal_it_asks_and_a_no_makes_nothing(home: Home) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        home.command("setup"), env=home.environment(), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    os.write(leader, b"n\n")
    assert process.wait(60) == 130
    assert b"[Y/n]" in os.read(leader, 65536)
    os.close(leader)
    assert not home.data.exists()
