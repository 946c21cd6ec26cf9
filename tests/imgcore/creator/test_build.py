# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
from pathlib import Path

import pytest

from imgcore.creator.build import Build, disk_full
from imgcore.creator.plan import Repository
from tests.support.trees import a_build

SECRETS = ("s3cret", "s3cret%2Fpw", "s3cret/pw", "pr0xy-pw", "k3y-pw", "an0ther")


def a_build_with_secrets(top: Path, said: list[str]) -> Build:
    repositories = (
        Repository("a", "https://me:s3cret%2Fpw@host/x"),
        Repository("b", "http://host/", proxy="http://p:3128", proxy_password="pr0xy-pw"),
        Repository("c", "http://[bad/", mirrorlist="http://u:s3cret@host/m"),
        Repository("d", "http://u:ab@host/"),
        Repository("e", "http://host/", gpg_key="http://u:k3y-pw@host/a,http://u:an0ther@host/b"),
    )
    build, _ = a_build(top, {}, repositories=repositories)
    return Build(build.plan, build.place, build.announce, said.append)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_password_of_a_repository_gets_into_log_warnings_or_errors(tmp_path: Path, secret: str) -> None:
    said: list[str] = []
    build = a_build_with_secrets(tmp_path, said)
    text = f"cannot open https://me:{secret}@host/x about it"
    build.say(text)
    build.warn(text, 4)
    error = build.error(4, text, text)
    everything = [*said, *build.warnings, str(error)]
    assert len(everything) == 4
    assert not [each for each in everything if secret in each]
    # Two letters would hide half of every message.
    assert all("about it" in each for each in everything)


def test_an_error_names_the_line_of_the_kickstart_if_there_is_one(tmp_path: Path) -> None:
    build, _ = a_build(tmp_path, {}, kickstart="n950.ks")
    assert str(build.error(7, "x", "do y")) == "n950.ks, line 7: x (do y)"
    assert str(build.error(0, "x")) == "x"
    assert build.error(7, "x").cause == "unsupported"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_recognised_in_an_error_or_what_it_came_from(number: int) -> None:
    full = OSError(number, "full", "/some/file")
    wrapped = RuntimeError("outer")
    wrapped.__cause__ = full
    for error in (full, wrapped):
        told = disk_full(error)
        assert told is not None and told.cause == "disk-full"
        assert told.message == "there is no space left at /some/file"
    assert disk_full(RuntimeError("write error: No space left on device")) is not None
    assert disk_full(OSError(errno.EACCES, "denied", "/x")) is None
