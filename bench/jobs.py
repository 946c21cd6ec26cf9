#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long `img jobs` takes to its first row, against Python's own start, side by side in one run.

    python bench/jobs.py [--jobs 100000] [--at DIRECTORY] [--json]

Makes a spool of so many jobs (records and index entries as the spool has them, not synced), then starts in turn

  python       python -c pass
  help         img jobs --help        what the command line costs without a spool
  newest       img jobs               to the first row
  good         img jobs --name=device7 --state=done
  latest       img show device7@latest

and tells the lower quartiles. Ends with 1 if the first row of `img jobs` comes more than 0.2 s after Python.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imgcore.job import Job, Status, to_json
from imgcore.spool import Spool

LIMIT = 0.2
ROUNDS = 15
#: Of ten jobs.
STATES = (*(Status.DONE,) * 8, Status.ERROR, Status.CANCELLED)


def fill(root: Path, count: int) -> None:
    """A spool with `count` ended jobs of fifty names."""
    spool = Spool(root)
    dice = random.Random(1)
    for number in range(count):
        status = dice.choice(STATES)
        minute = number * 5
        month, day, hour = 1 + minute // 43200 % 12, 1 + minute // 1440 % 28, minute // 60 % 24
        at = f"2025-{month:02}-{day:02}T{hour:02}:{minute % 60:02}:00"
        job = Job(
            image_id=f"device{number % 50}-{number:06}", name=f"device{number % 50}", arch="armv7hl",
            image_type="raw", status=status, requested_at=f"{at}.{number:06}Z", started_at=f"{at}Z",
            finished_at=f"{at}Z", updated_at=f"{at}Z", user="builder", tags=("nightly",),
            packages=("bash", "busybox"),
            artifacts=({"name": "a.raw", "kind": "image", "size": 1 << 30, "sha256": "ab" * 32},),
            event={"time": f"{at}Z", "from": "BUILDING", "to": str(status), "seq": 3}, revision=3,
        )  # fmt: skip
        directory = root / "jobs" / job.image_id
        directory.mkdir()
        (directory / "job.json").write_bytes(to_json(job))
        spool.index.add(job, status)
        spool.index.lookup.add_job(job)


def first_row(command: list[str]) -> float:
    """Seconds from the start to the second line of output (the first is the titles), or to the end."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()
        took = time.perf_counter() - began
        process.stdout.read()
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--at", type=Path, help="where the spool is made, and left; one that is there is used")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    place = given.at or Path(tempfile.mkdtemp(prefix="imager-bench-"))
    try:
        if not (place / "jobs").is_dir():
            fill(place, given.jobs)
        img = [sys.executable, "-c", "from imgcore.cli import main; main()"]
        spool = ["--spool", str(place)]
        commands = {
            "python": [sys.executable, "-c", "pass"],
            "help": [*img, "jobs", "--help"],
            "newest": [*img, "jobs", *spool],
            "good": [*img, "jobs", "--name=device7", "--state=done", *spool],
            "latest": [*img, "show", "device7@latest", *spool],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(first_row(command))
    finally:
        if given.at is None:
            shutil.rmtree(place)
    told = {name: statistics.quantiles(each, n=4)[0] for name, each in times.items()}
    more = told["newest"] - told["python"]
    if given.json:
        print(json.dumps({"jobs": given.jobs, **told, "more": more}))
    else:
        for name, seconds in told.items():
            print(f"{name:8} {seconds * 1000:6.0f} ms   {seconds / told['python']:4.1f} x Python's start")
        print(f"img jobs: first row {more * 1000:.0f} ms after Python's own start (at most {LIMIT * 1000:.0f})")
    return int(more > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
