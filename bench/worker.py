#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What record, sandbox, log, sampling and delivery add to the bare tool, side by side in one run.

    python bench/worker.py [--rounds N] [--lines N] [--megabytes N] [--at DIRECTORY] [--json]

  bare     the built-in creator alone, in a namespace and a tmpfs (bench/arena.py): a plan in, an image in memory
  worker   a job made, claimed, built by `Worker.build` with the direct executor, and finished: with record, log,
           limits, samples, SHA-256 of each artifact, everything synced to the disk and put in place
  command  `img build` as a process of its own, the start of Python included (told, without a target)

Two jobs: the example (raw, with scripts and boot loader), and one that says many lines and leaves a large file.
Ends with 1 if the worker adds more than 5 % and more than 0.5 s. What the disk costs is told by `copied`: the bare
tool, and then its files copied to the same disk and synced.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arena
from contest import Target, medians, rounds, table
from creator import CREATOR, EXAMPLE, REPOSITORY

from imgcore.config import Config
from imgcore.executor import local
from imgcore.job import Status
from imgcore.request import Request
from imgcore.spool import Spool
from imgcore.tool.builtin import Builtin
from imgcore.worker import Worker

MOST_SHARE, MOST_SECONDS = 1.05, 0.5
TOKENS = {"REPO": str(REPOSITORY), "RELEASE": "1.0", "GREETING": "hello"}
TALKER = """\
part / --size=32 --fstype=ext4
repo --name=tiny --baseurl=file://@REPO@
%packages
tiny-filesystem
%end
%pack
seq -f 'line %g of many that a script says while it works' LINES
head -c MEGABYTESM /dev/urandom >noise
%end
"""


class Bench:
    """One job, made in each way, in directories of its own below `base`."""

    def __init__(self, base: Path, kickstart: str, image_type: str) -> None:
        self.base = base
        self.image_type = image_type
        self.file = base / "bench.ks"
        self.file.write_text(kickstart, encoding="utf-8")
        self.config = Config(
            spool=base / "spool", base_dir=base / "images", cache=base / "cache", executor="direct", tool="builtin"
        )
        self.spool = Spool(self.config.spool)
        self.request = Request(kickstart, "bench", "x86_64", image_type, tokenmap=TOKENS, source_date_epoch=1)
        order = self.request.order("bench", 1)
        # As the arena shows them: repositories under their own path.
        prepared = Builtin().prepare(order)
        plan = json.loads(prepared.inputs["plan.json"])
        for repository in plan["repositories"]:
            repository["url"] = REPOSITORY.as_uri()
        self.plan = json.dumps(plan)
        self._bare_cache = base / "bare-cache"
        self._bare_cache.mkdir()
        self._bare_cache.chmod(0o777)

    def bare(self) -> arena.Run:
        """The tool alone."""
        return arena.run(self._order())

    def copied(self) -> arena.Run:
        """The tool, and its files copied to the disk and synced."""
        target = Path(tempfile.mkdtemp(prefix="copied-", dir=self.base))
        try:
            order = self._order()
            copy = 'top=$1; target=$2; shift 2; "$@"; cp --sparse=always "$top"/out/* "$target"; sync "$target"/*'
            argv = ["sh", "-euc", copy, "sh", "{top}", str(target), *order.argv]
            return arena.run(dataclasses.replace(order, argv=argv))
        finally:
            shutil.rmtree(target)

    def worker(self) -> arena.Run:
        """The job, from its making to its end."""

        def build() -> None:
            job = self.spool.create_unique("bench", self.request.job("none"), kickstart=self.file.read_bytes())
            claim = self.spool.start(job.image_id)
            done = Worker(self.config, local.direct({})).build(claim, self.request, self.spool.log(job.image_id))
            if done.status is not Status.DONE:
                raise RuntimeError(f"{done.error}: see {self.spool.log(job.image_id)}")

        return self._measured(build)

    def command(self) -> arena.Run:
        """`img build`, as a person starts it."""
        argv = [str(Path(sys.executable).parent / "img"), "build", str(self.file), "--type", self.image_type]
        argv += ["--tokenmap", ",".join(f"{key}:{value}" for key, value in TOKENS.items())]
        argv += ["--spool", str(self.config.spool), "--outdir", str(self.config.base_dir), "--executor", "direct"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1", "XDG_DATA_HOME": str(self.base / "data")}

        def build() -> None:
            done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])

        return self._measured(build)

    def _order(self) -> arena.Order:
        argv = ["/usr/bin/python3", "-I", "-c", CREATOR]
        return arena.Order(argv, {"in/plan.json": self.plan}, cache=str(self._bare_cache))

    def _measured(self, build: Callable[[], None]) -> arena.Run:
        cpu, began = _cpu(), time.perf_counter()
        build()
        run = arena.Run(time.perf_counter() - began, _cpu() - cpu, (), 0)
        shutil.rmtree(self.config.base_dir)
        return run


def _cpu() -> float:
    uses = (resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> int:
    parser = argparse.ArgumentParser(description="measure what a worker adds to the bare tool")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lines", type=int, default=20_000, help="that the second job says")
    parser.add_argument("--megabytes", type=int, default=64, help="that the second job leaves")
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="where spool and images are")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    if not (REPOSITORY / "repodata").is_dir():
        parser.error("the example's packages are not there: run `make example`")
    target = Target("worker", "bare", MOST_SHARE, MOST_SECONDS)
    lines, megabytes = arguments.lines, arguments.megabytes
    talker = TALKER.replace("LINES", str(lines)).replace("MEGABYTES", str(megabytes))
    results: dict[str, Any] = {}
    good = True
    for name, kickstart, image_type in (
        ("the example to a raw image", EXAMPLE.read_text(encoding="utf-8"), "raw"),
        (f"{lines:,} lines of output and {megabytes} MB", talker, "loop"),
    ):
        base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
        try:
            bench = Bench(base, kickstart, image_type)
            contenders = {each: getattr(bench, each) for each in ("bare", "copied", "worker", "command")}
            results[name] = found = medians(rounds(arguments.rounds, contenders))
        finally:
            shutil.rmtree(base)
        good = good and target.met(found)
        if not arguments.json:
            print(f"{name} ({arguments.rounds} rounds)\n{table(found)}\n  {target.told(found)}")
            for each in ("copied", "command"):
                print(f"  {each} against bare: {found[each]['seconds'] - found['bare']['seconds']:+.2f} s")
            sys.stdout.flush()
    if arguments.json:
        print(json.dumps({"results": results, "good": good}, indent=2))
    else:
        print("good" if good else "TOO SLOW")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
