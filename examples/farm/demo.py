# SPDX-License-Identifier: GPL-2.0-or-later
"""A farm on this machine: a broker, four workers with directories of their own, twelve images.

One worker is killed in the middle, with what it builds, and started again; all images are there in the end. Then, or
when it is interrupted, everything is stopped. `make farm-demo` runs this after setting up; everything goes to
build/farm.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from examples.farm.rabbitmq import Node
from examples.tiny.demo import CHECKOUT, EXAMPLE, IMG, images, prepare

PLACE = CHECKOUT / "build" / "farm"
SPOOL = PLACE / "spool"
WORKERS, JOBS = 4, 12
#: Seconds: all images are there far sooner, or something is wrong.
PATIENCE = 170.0


class Service:
    """A command that runs until `end`, and is started again when it ends by itself; what it says goes to a file."""

    def __init__(self, name: str, *command: str | Path) -> None:
        self.name = name
        self.place = PLACE / name
        self._command = command
        self.place.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start it, away from the terminal's Ctrl-C: it ends when we say so."""
        with (self.place / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self._command],
                cwd=self.place,
                env={**os.environ, "XDG_STATE_HOME": str(self.place / "state")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def supervise(self) -> None:
        """Start it again where it has ended."""
        if self.process.poll() is not None:
            print(f"{self.name} is started again", flush=True)
            self.start()

    def building(self) -> dict[str, Any] | None:
        """The record of a job that it is in the middle of."""
        return next((each for each in records(self.place / "spool") if each["phase"] in ("install", "image")), None)

    def interrupt(self) -> None:
        """What Ctrl-C does: the first time it waits for its builds, the second time it cancels them."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait for its end, not for ever."""
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def records(spool: Path, *statuses: str) -> list[dict[str, Any]]:
    """The records of a spool in these states (BUILDING), by id."""
    found = [json.loads(each.read_bytes()) for each in sorted(spool.glob("jobs/*/job.json"))]
    return [each for each in found if each["status"] in (statuses or ("BUILDING",))]


def img(*arguments: str | Path) -> list[str]:
    """Run `img` in sight of the person; the lines that it prints."""
    done = subprocess.run([IMG, *arguments], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.splitlines()


def wait(what: str, true: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until something is true."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"farm-demo: {what} did not come within {within:.0f} s; {PLACE}/*/output says more")
        time.sleep(0.05)


def broker(stack: ExitStack) -> Sequence[str | Path]:
    """Start a broker; the options by which others find it. Nobody else on this machine can use it."""
    place = PLACE / "broker"
    place.mkdir(mode=0o700)
    password = place / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    node = Node(place, password=password.read_text())
    stack.callback(node.close)
    node.start()
    print(f"broker    {node.address}", flush=True)
    return ("--broker", f"guest@{node.address}", "--password-file", password)


def start(stack: ExitStack, where: Sequence[str | Path]) -> list[Service]:
    """Start who keeps the records, and the workers; returns the workers."""
    keeper = Service("keeper", IMG, "keeper", *where, "--spool", SPOOL)
    stack.callback(keeper.end)
    stack.callback(keeper.interrupt)
    workers: list[Service] = []
    for number in range(1, WORKERS + 1):
        own = PLACE / f"worker-{number}"
        own.mkdir()
        config = own / "imager.conf"
        config.write_text(f"[imager]\nspool = {own}/spool\nbase_dir = {own}/images\n")
        command = ("worker", "--slots", "1", "--name", own.name, *where, "--config", config)
        workers.append(Service(own.name, IMG, *command))
        stack.callback(workers[-1].end)
    # Called in the other order: two interruptions, then the waiting.
    for _ in range(2):
        stack.callback(lambda: (time.sleep(0.5), [each.interrupt() for each in workers]))
    return workers


def submit(repository: str, where: Sequence[str | Path]) -> None:
    """Submit all jobs."""
    kickstarts = [PLACE / "kickstarts" / f"tiny-{number:02}.ks" for number in range(1, JOBS + 1)]
    kickstarts[0].parent.mkdir()
    for each in kickstarts:
        shutil.copy(EXAMPLE / "tiny.ks", each)
    tokens = f"REPO:{repository},RELEASE:1.0,GREETING:hello"
    print(f"\nimg submit {kickstarts[0].name} … {kickstarts[-1].name} --type fs", flush=True)
    img("submit", *kickstarts, "--type", "fs", "--tokenmap", tokens, "--spool", SPOOL, *where)


class Watch:
    """Tells of each job that ends."""

    def __init__(self) -> None:
        self.ended: dict[str, dict[str, Any]] = {}

    def all_ended(self, workers: list[Service]) -> bool:
        """Look once, and start again what was killed."""
        for each in workers:
            each.supervise()
        for job in records(SPOOL, "DONE", "ERROR", "CANCELLED"):
            if job["image_id"] not in self.ended:
                self.ended[job["image_id"]] = job
                where = f"on {job['worker'].get('name')}  {job['error']}"
                print(f"  {len(self.ended):>2}/{JOBS}  {job['name']}  {job['status']}  {where}", flush=True)
        return len(self.ended) == JOBS


def kill_one(workers: list[Service], watch: Watch) -> None:
    """Kill a worker and what it builds, in the middle of that."""
    found: list[tuple[Service, dict[str, Any]]] = []

    def look() -> bool:
        found.extend((each, job) for each in workers if (job := each.building()))
        return bool(found) or watch.all_ended(workers)

    wait("a build", look)
    for worker, job in found[:1]:
        worker.process.kill()
        worker.process.wait()
        with suppress(ProcessLookupError):
            os.kill(job["worker"]["pid"], signal.SIGKILL)
        print(
            f"{worker.name} was killed (SIGKILL), and its build of {job['name']} in phase {job['phase']}", flush=True
        )


def main() -> int:
    """Run the farm; the exit code is 0 if all images came."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    repository = prepare()
    print()
    watch, began = Watch(), time.monotonic()
    with ExitStack() as stack:
        where = broker(stack)
        workers = start(stack, where)
        print(f"workers   {', '.join(each.name for each in workers)}", flush=True)
        submit(repository, where)
        wait("the first image", lambda: watch.all_ended(workers) or len(watch.ended) >= 2)
        kill_one(workers, watch)
        wait("the last image", lambda: watch.all_ended(workers))
        print(f"{time.monotonic() - began:.0f} s\n", flush=True)
        img("report", "--spool", SPOOL, "--outdir", PLACE / "report")
    done = [job for job in watch.ended.values() if job["status"] == "DONE"]
    print("images")
    for job in done:
        for path in images(job):
            print(f"  {path}  ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"page\n  {(PLACE / 'report' / 'index.html').as_uri()}")
    print("broker, keeper and workers are stopped")
    return 0 if len(done) == JOBS else 1


def _interrupted(number: int, frame: object) -> None:
    # Once: what is stopping now must not be stopped.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupted)
    try:
        sys.exit(main())
    except RuntimeError:
        sys.exit(f"farm-demo: the broker does not start ({PLACE}/broker/output says why)")
    except KeyboardInterrupt:
        print("\nfarm-demo: interrupted, everything is stopped", file=sys.stderr)
        sys.exit(130)
