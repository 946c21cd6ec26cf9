# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories of many small packages, each made once by one rpmbuild and kept in build/bench.

A package has 12 files in directories of its own, 100 kB that compress to a third, and needs an earlier package;
every tenth has a scriptlet, whose shell comes from the example's repository. The group `all` has them all.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

__all__ = ["repository"]

_FILES, _FILE_BYTES = 12, 8192


def repository(place: Path, count: int) -> Path:
    """The repository of `count` packages below `place`; made if it is not there."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    target = place / f"many-{count}-{version}"
    if target.exists():
        return target
    work = place / f".many-{count}"
    for stale in (work, *place.glob(f"many-{count}-*")):
        shutil.rmtree(stale, ignore_errors=True)
    rpms = work / "rpms"
    rpms.mkdir(parents=True)
    (work / "many.spec").write_text(_spec(count, work / "source"), encoding="utf-8")
    _write_sources(work / "source", count)
    _run(work, [
        "rpmbuild", "-bb", "--quiet", "--define", f"_topdir {work}", "--define", f"_rpmdir {rpms}",
        "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "--define", "_binary_payload w6.gzdio", "--define", "debug_package %{nil}",
        "--define", "__spec_install_post %{nil}", str(work / "many.spec"),
    ])  # fmt: skip
    (rpms / "comps.xml").write_text(_comps(count), encoding="utf-8")
    _run(work, ["createrepo_c", "--quiet", "--no-database", "--groupfile", "comps.xml", str(rpms)])
    rpms.rename(target)
    shutil.rmtree(work)
    return target


def _name(number: int) -> str:
    return f"many-{number:04}"


def _paths(number: int) -> list[str]:
    # rpmbuild looks into every file to find out what it is, for long, but believes this suffix.
    return [f"/usr/share/{_name(number)}/{'deep/' if each % 3 else ''}file-{each}.pm" for each in range(_FILES)]


def _write_sources(root: Path, count: int) -> None:
    drawn = random.Random(count)
    words = [bytes(drawn.choices(range(97, 123), k=drawn.randint(3, 10))) for _ in range(20_000)]
    for number in range(count):
        for path in _paths(number):
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b" ".join(drawn.choices(words, k=_FILE_BYTES // 7)))


def _spec(count: int, source: Path) -> str:
    lines = ["Name: many", "Version: 1", "Release: 1", "Summary: many", "License: MIT", "BuildArch: noarch"]
    lines += ["%description", "Many.", "%install", f"cp -a '{source}/.' '%{{buildroot}}'"]
    for number in range(count):
        name = _name(number)
        lines += [f"%package -n {name}", f"Summary: {name}", "AutoReqProv: no"]
        lines += [f"Requires: {_name(number // 2) if number else '/bin/sh'}"]
        lines += [f"%description -n {name}", "One of many."]
        if number % 10 == 0:
            lines += [f"%post -n {name}", "echo $1 >> /etc/many"]
        lines += [f"%files -n {name}", f"/usr/share/{name}"]
    return "\n".join(lines) + "\n"


def _comps(count: int) -> str:
    packages = "".join(f"<packagereq type='mandatory'>{_name(each)}</packagereq>" for each in range(count))
    return (
        "<?xml version='1.0' encoding='UTF-8'?><comps><group><id>all</id><name>all</name><default>true</default>"
        f"<uservisible>true</uservisible><packagelist>{packages}</packagelist></group></comps>\n"
    )


def _run(home: Path, argv: list[str]) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stdout.decode()}{done.stderr.decode()}")
