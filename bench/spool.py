#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the spool costs, against the bare calls that nobody can do without, side by side in one run.

    python bench/spool.py [--full] [--at DIRECTORY] [--json]

At 1,000 and 10,000 jobs (with --full also 100,000) it measures, on one file system and interleaved so that what
else the machine does weighs on both alike (lower quartiles are shown):

  update  claim.update(progress=…)      against write + fsync + rename of the same bytes        at most 1.3 x
                                        and against the same with an fsync of the directory
  edit    an edit of another process    against write + fsync + rename + fsync of the directory
  create  a job of four files           against four files written and synced, one rename
  claim   claim() and finish()          against two records replaced and two lines appended
  list    ids(IN QUEUE), ids(DONE)      time for a listed job: as many waiting ones while the others grow; all

Ends with 1 if an update costs more than 1.3 x, or listing by state is not flat.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imgcore import job as jobs
from imgcore.job import Job, Status
from imgcore.spool import Spool

UPDATE_LIMIT = 1.3
#: A listed job may cost this many times more at the largest number of jobs than at the smallest.
FLAT_LIMIT = 1.5
ROUNDS = 500
LISTED = 200
KICKSTART = b"part / --size=500\n%packages\n%end\n" * 20


def bare_write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)


def bare_sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def bare_replace(directory: Path, content: bytes, *, sync: bool) -> None:
    bare_write(directory / ".new", content)
    (directory / ".new").rename(directory / "job.json")
    if sync:
        bare_sync(directory)


def bare_append(directory: Path, line: bytes) -> None:
    descriptor = os.open(directory / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line)
    os.fsync(descriptor)
    os.close(descriptor)


def interleaved(rounds: int, acts: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The lower quartile of each act's times: what other work on the machine disturbs least.

    All acts once a round, in an order that nobody gains by.
    """
    dice = random.Random(1)
    times: dict[str, list[float]] = {name: [] for name in acts}
    order = list(acts)
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            began = time.perf_counter()
            acts[name]()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.quantiles(each, n=4)[0] for name, each in times.items()}


class Bench:
    """One spool that grows, and a bare directory beside it on the same disk."""

    def __init__(self, base: Path) -> None:
        self.spool = Spool(base / "spool")
        self.bare = base / "bare"
        self.bare.mkdir()
        self._made = 0

    def job(self) -> Job:
        self._made += 1
        return Job(
            image_id=f"device-20260131-{self._made:06}", name="device", arch="armv7hl", image_type="raw",
            tokenmap={"RELEASE": "4.5", "ARCH": "armv7hl"}, user="builder@example.org",
            extra_repos=("https://download.example.org/repo/@RELEASE@/",), packages=("bash", "busybox"),
        )  # fmt: skip

    def create(self) -> None:
        self.spool.create(self.job(), kickstart=KICKSTART, workitem=b'{"fields": {"image": {"name": "device"}}}')

    def bare_create(self) -> None:
        self._made += 1
        place, target = self.bare / "tmp", self.bare / f"job-{self._made}"
        place.mkdir()
        for name in ("job.json", "kickstart.ks", "workitem.json", "events.jsonl"):
            bare_write(place / name, KICKSTART)
        bare_sync(place)
        place.rename(target)
        bare_sync(self.bare)

    def grow(self, count: int) -> None:
        """Finished jobs up to `count`, written past the spool: what making one costs is measured elsewhere."""
        for _ in range(count - LISTED - len(self.spool.ids(Status.DONE))):
            when = jobs.timestamp()
            event: jobs.Event = {"time": when, "from": "BUILDING", "to": "DONE", "seq": 3}
            done = dataclasses.replace(
                self.job(), status=Status.DONE, requested_at=when, updated_at=when, revision=3, event=event
            )
            directory = self.spool.directory(done.image_id)
            directory.mkdir()
            (directory / "job.json").write_bytes(jobs.to_json(done))
            (directory / "kickstart.ks").write_bytes(KICKSTART)
            self.spool.index.add(done, Status.DONE)
        os.sync()

    def measure(self) -> dict[str, dict[str, float]]:
        """The times in seconds, by what they belong to."""
        for _ in range(LISTED - len(self.spool.ids(Status.IN_QUEUE))):
            self.create()
        claim = self.spool.claim("bench")
        assert claim is not None
        number = 0

        def update() -> None:
            nonlocal number
            number += 1
            claim.update(phase="install", progress=number % 1000 / 1000, progress_detail=f"package-{number}")

        update()
        content = (self.spool.directory(claim.image_id) / "job.json").read_bytes()
        line = (self.spool.directory(claim.image_id) / "events.jsonl").read_bytes().splitlines(keepends=True)[-1]
        edited = self.spool.ids(Status.IN_QUEUE)[-1]
        other = Spool(self.spool.root)

        def edit() -> None:
            with other.edit(edited) as held:
                held.update(tags=("bench",))

        def claim_and_finish() -> None:
            taken = self.spool.claim("bench")
            assert taken is not None
            taken.finish(Status.DONE)

        def bare_claim() -> None:
            for _ in range(2):
                bare_replace(self.bare, content, sync=True)
                bare_append(self.bare, line)

        found = {
            "update": interleaved(
                ROUNDS,
                {
                    "spool": update,
                    "bare": lambda: bare_replace(self.bare, content, sync=False),
                    "bare and directory": lambda: bare_replace(self.bare, content, sync=True),
                },
            ),
            "edit": interleaved(
                ROUNDS, {"spool": edit, "bare and directory": lambda: bare_replace(self.bare, content, sync=True)}
            ),
            "create": interleaved(ROUNDS // 5, {"spool": self.create, "bare": self.bare_create}),
            "claim": interleaved(ROUNDS // 5, {"spool": claim_and_finish, "bare": bare_claim}),
        }
        claim.finish(Status.DONE)
        return found

    def listing(self) -> dict[str, float]:
        """Seconds a listed job, by state."""
        found = {}
        for status in (Status.IN_QUEUE, Status.DONE):
            count = len(self.spool.ids(status))
            found[str(status)] = interleaved(50, {"ids": lambda each=status: self.spool.ids(each)})["ids"] / count  # type: ignore[misc]
        began = time.perf_counter()
        read = sum(1 for _ in self.spool.jobs(Status.IN_QUEUE))
        found["IN QUEUE, records read"] = (time.perf_counter() - began) / read
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description="measure the spool against bare system calls")
    parser.add_argument("--full", action="store_true", help="also with 100,000 jobs (some minutes)")
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="the file system to measure")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
    results: dict[int, dict[str, dict[str, float]]] = {}
    try:
        bench = Bench(base)
        for count in (1_000, 10_000, *((100_000,) if arguments.full else ())):
            bench.grow(count)
            results[count] = {**bench.measure(), "list": bench.listing()}
            if not arguments.json:
                show(count, results[count])
    finally:
        shutil.rmtree(base)
    if arguments.json:
        print(json.dumps(results, indent=2))
    return verdict(results, quiet=arguments.json)


def show(count: int, found: dict[str, dict[str, float]]) -> None:
    print(f"{count:,} jobs")
    for what, times in found.items():
        if what == "list":
            for status, seconds in times.items():
                print(f"  list    {seconds * 1e6:8.2f} us a job   {status}")
            continue
        for against, seconds in times.items():
            if against != "spool":
                ratio = times["spool"] / seconds
                print(
                    f"  {what:7} {times['spool'] * 1e6:8.0f} us   {ratio:5.2f} x   {against} ({seconds * 1e6:.0f} us)"
                )


def verdict(results: dict[int, dict[str, dict[str, float]]], *, quiet: bool) -> int:
    update = max(each["update"]["spool"] / each["update"]["bare"] for each in results.values())
    # As many wait at every size: what listing them costs must not know of the others.
    per_job = [each["list"]["IN QUEUE"] for each in results.values()]
    growth = per_job[-1] / per_job[0]
    good = update <= UPDATE_LIMIT and growth <= FLAT_LIMIT
    if not quiet:
        print(f"update: {update:.2f} x the bare cost (at most {UPDATE_LIMIT})")
        print(f"listing by state: {growth:.2f} x a job from the smallest to the largest spool (at most {FLAT_LIMIT})")
        print("good" if good else "TOO SLOW")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
