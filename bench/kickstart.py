#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What kickstarts cost, against pykickstart on the same files, side by side in one run.

    python bench/kickstart.py [--corpus DIRECTORY] [--files N] [--json]

The files are those of the corpus (default: where the tests look, else examples/) that pykickstart can read, too.
Measures are interleaved so that what else the machine does weighs on both alike; lower quartiles are shown:

  change  read, augment, read again, write         against pykickstart's read alone               at most 1.5 x
  start   `img ks check` of one file               against Python with pykickstart imported       at most 1.5 x
  cores   `img ks check` of N files on all cores   against the same on one                        at least 0.7 x cores

Ends with 1 if one is missed. Processor time is compared, but for `cores`, which is about the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import DEVEL, makeVersion

from imgcore.errors import InputError
from imgcore.kickstart import Changes, change, decode, read

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15
CHANGES = Changes(packages=["extra"], groups=["Extra"], extra_repos=["extra=http://example.org/extra"])
#: The start-up that a check is measured against.
IMPORTS = "import pykickstart.parser, pykickstart.handlers.control"


def theirs(path: Path) -> None:
    """pykickstart's read, as its users write it."""
    with warnings.catch_warnings(action="ignore"):
        KickstartParser(makeVersion(DEVEL), missingIncludeIsFatal=False).readKickstart(str(path))


def ours(path: Path, target: Path) -> None:
    """What build_ks does, and the result written."""
    content = path.read_bytes()
    read(content, path.name)
    changed = change(decode(content, path.name), CHANGES, path.name)
    read(changed.text.encode(), path.name)
    target.write_text(changed.text)


def readable(corpus: Path) -> list[Path]:
    """The files that both read alone."""
    found = []
    for path in sorted(corpus.rglob("*.ks")):
        try:
            theirs(path)
            read(path.read_bytes(), path.name)
        except (KickstartError, InputError, OSError):
            continue
        found.append(path)
    return found


def processor(work: Callable[[], object]) -> float:
    """Seconds of processor time, those of ended processes too."""
    before = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    work()
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) - before


def wall(work: Callable[[], object]) -> float:
    """Seconds on the clock."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def quarter(values: Sequence[float]) -> float:
    """The lower quartile."""
    return statistics.quantiles(values, n=4)[0]


def compared(measure: Callable[[Callable[[], object]], float], one: Any, other: Any, rounds: int) -> dict[str, float]:
    """Both in turn."""
    pairs = [(measure(one), measure(other)) for _ in range(rounds)]
    mine, reference = (quarter(each) for each in zip(*pairs, strict=True))
    return {"seconds": mine, "reference": reference, "ratio": mine / reference}


def run(*command: str | Path, cores: Sequence[int] | None = None) -> None:
    """A command whose output nobody reads; what it ends with does not matter."""

    def confined() -> None:
        if cores is not None:
            os.sched_setaffinity(0, cores)

    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, preexec_fn=confined)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = ROOT.parent / "shared/data/kickstarts"
    default = os.environ.get("IMAGER_CORPUS") or (beside if beside.is_dir() else ROOT / "examples")
    parser.add_argument("--corpus", type=Path, default=Path(default))
    parser.add_argument("--files", type=int, default=1000, help="how many files `cores` checks")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    files = readable(given.corpus)
    if not files:
        parser.error(f"{given.corpus} has no kickstart that both can read")
    img, cores = Path(sys.executable).parent / "img", sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="imager-bench-") as directory:
        top = Path(directory)
        many = top / "many"
        many.mkdir()
        for number in range(given.files):
            shutil.copy(files[number % len(files)], many / f"{number}.ks")
        found = {
            "change": compared(
                processor,
                lambda: [ours(path, top / "changed.ks") for path in files],
                lambda: [theirs(path) for path in files],
                ROUNDS,
            ),
            "start": compared(
                processor,
                lambda: run(img, "ks", "check", files[0]),
                lambda: run(sys.executable, "-c", IMPORTS),
                ROUNDS,
            ),
            "cores": compared(
                wall, lambda: run(img, "ks", "check", many), lambda: run(img, "ks", "check", many, cores=cores[:1]), 3
            ),
        }
    met = {
        "change": found["change"]["ratio"] <= 1.5,
        "start": found["start"]["ratio"] <= 1.5,
        "cores": 1 / found["cores"]["ratio"] >= 0.7 * len(cores),
    }
    if given.json:
        print(json.dumps({"files": len(files), "cores": len(cores), **found, "met": met}, indent=1))
    else:
        print(f"{len(files)} kickstarts, {len(cores)} cores")
        for name, each in found.items():
            unit = f"{each['seconds'] * 1000:9.1f} ms against {each['reference'] * 1000:9.1f} ms"
            print(f"{name:7} {unit}: {each['ratio']:.2f} x  {'ok' if met[name] else 'MISSED'}")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
