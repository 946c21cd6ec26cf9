#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a farm adds to its builds: jobs of a tool that does nothing, through a broker and workers, side by side in one
run with the same builds started by a pool.

    python bench/farm.py [--workers 1,2,4,8,16] [--jobs N] [--at DIRECTORY] [--json]

  farm  recorded jobs sent to the queue imager.build, so many `img worker --slots 1`, `img keeper`; time runs from the
        first message until the keeper's spool has all of them DONE
  pool  as many processes at a time as the farm has workers, each the process that a worker would start for the job

Each job is a process with its sandbox, its record, its log and its delivery; only the tool does nothing. Ends with 1
where the farm grows by less than 0.8 of what the pool grows by, from one worker to N: the pool grows until the
machine's processors are used up.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import arena
from amqp import configure, declared, running, wait

from examples.farm.rabbitmq import Node
from imgcore import config
from imgcore.builds import Builds
from imgcore.cli import farm
from imgcore.config import Config
from imgcore.job import FINAL, Status
from imgcore.request import Request, image_fields
from imgcore.spool import Spool
from RuoteAMQP import Workitem

LEAST = 0.8
# Called like mic; what it leaves is the least that is an image.
TOOL = """\
/bin/sh -c 'for each; do case $each in --outdir=*) echo nothing >${each#*=}/bench.img;; esac; done; echo Finished.'"""
KICKSTART = "part / --size=32 --fstype=ext4\n%packages\n%end\n"
REQUEST = Request(KICKSTART, "bench", "x86_64", "loop", source_date_epoch=1)


class Bench:
    """`jobs` builds in each way, in directories of their own below `base`."""

    def __init__(self, node: Node, base: Path, jobs: int) -> None:
        self._node, self._base, self._jobs = node, base, jobs
        configure(base / "skynet", node)

    def pool(self, count: int) -> float:
        """Seconds by a pool of `count` processes."""
        settings = self.settings(f"pool-{count}")
        spool, ids = self.recorded(settings)
        builds = Builds(settings, spool, "pool")
        began = time.perf_counter()
        with ThreadPoolExecutor(count) as threads:
            for job in threads.map(lambda each: builds.run(each, REQUEST, lambda _: None), ids):
                if job.status is not Status.DONE:
                    raise RuntimeError(f"{job.error}: see {spool.log(job.image_id)}")
        return time.perf_counter() - began

    def farm(self, count: int) -> float:
        """Seconds by `count` workers."""
        building, keeping = self.settings(f"farm-{count}"), self.settings(f"keeper-{count}")
        spool, ids = self.recorded(keeping)
        workers = [("worker", "--slots", "1", "--config", file_of(building))] * count
        with self.started(*workers, ("keeper", "--config", file_of(keeping))):
            with self._node.connect() as connection:
                wait(lambda: declared(connection, farm.STATUS_QUEUE).consumer_count == 1, "the keeper listens")
            with farm.Farm(farm.find(f"guest@{self._node.address}", None)) as connected:
                wait(lambda: (connected.queue(farm.BUILD_QUEUE) or (0, 0))[1] == count, "all workers listen")
                began = time.perf_counter()
                for each in ids:
                    fields = image_fields(spool.read(each), KICKSTART.encode())
                    connected.send(Workitem({"fields": {"image": fields}}))
            wait(lambda: sum(len(spool.ids(each)) for each in FINAL) == len(ids), "all are built", 3600)
            seconds = time.perf_counter() - began
        if failed := spool.ids(Status.ERROR):
            raise RuntimeError(f"{spool.read(failed[0]).error}: see {spool.root}")
        return seconds

    def settings(self, name: str) -> Config:
        """A configuration with new directories below `name`; `file_of` it is beside them."""
        place = self._base / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        file = place / "imager.conf"
        options = {each: place / each for each in ("spool", "base_dir", "cache")}
        lines = [f"{key} = {value}" for key, value in {**options, "executor": "direct", "tool": "nothing"}.items()]
        lines += ["[worker]", "free_disk = 0", "free_memory = 0", "[tool nothing]", f"command = {TOOL}"]
        file.write_text("\n".join(["[imager]", *lines]) + "\n")
        return config.load(file, files=())

    def recorded(self, settings: Config) -> tuple[Spool, list[str]]:
        """The spool, with the jobs waiting in it, and their ids."""
        spool = Spool(settings.spool)
        content = KICKSTART.encode()
        made = [spool.create_unique("bench", REQUEST.job("none"), kickstart=content) for _ in range(self._jobs)]
        return spool, [job.image_id for job in made]

    @contextmanager
    def started(self, *commands: tuple[str, ...]) -> Iterator[None]:
        """`img` with each of the commands runs inside the `with`."""
        img = str(Path(sys.executable).parent / "img")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._base),
            "XDG_STATE_HOME": tempfile.mkdtemp(prefix="state-", dir=self._base),
            "SKYNET_CONFIG_DIR": str(self._base / "skynet"),
        }
        processes = []
        with (self._base / "log").open("ab") as log:
            for each in commands:
                processes.append(
                    subprocess.Popen(
                        [img, *each], cwd=arena.CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stderr=log
                    )
                )
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)


def file_of(settings: Config) -> str:
    """The file that has these settings."""
    return str(settings.spool.parent / "imager.conf")


def linear(seconds: dict[int, float]) -> int:
    """The largest number of workers up to which each does at least `LEAST` of what one alone does."""
    alone = min(seconds)
    reached = 0
    for count in sorted(seconds):
        if seconds[alone] * alone / seconds[count] < LEAST * count:
            break
        reached = count
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description="measure a farm against a pool of the same builds")
    parser.add_argument("--workers", default="1,2,4,8,16", help="how many, comma-separated, growing")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="where spools and images are")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    found: dict[str, dict[int, float]] = {"farm": {}, "pool": {}}
    good = True
    base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
    try:
        with running(arguments.at) as node:
            bench = Bench(node, base, arguments.jobs)
            for count in map(int, arguments.workers.split(",")):
                for way in ("pool", "farm"):
                    found[way][count] = getattr(bench, way)(count)
                grown = {way: next(iter(each.values())) / each[count] for way, each in found.items()}
                met = grown["farm"] >= LEAST * grown["pool"]
                good = good and met
                if not arguments.json:
                    told = "   ".join(f"{way} {each[count]:.1f} s, x {grown[way]:.2f}" for way, each in found.items())
                    ratio = found["farm"][count] / found["pool"][count]
                    print(
                        f"{count:3} workers: {told}   {ratio:.2f} x the pool" + ("" if met else "   MISSED"),
                        flush=True,
                    )
    finally:
        shutil.rmtree(base)
    if arguments.json:
        print(json.dumps({"jobs": arguments.jobs, "seconds": found, "good": good}, indent=2))
    else:
        until = ", ".join(f"{way} until {linear(each)}" for way, each in found.items())
        print(f"{arguments.jobs} jobs on {os.cpu_count()} processors, linear: {until}")
        print("good" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
