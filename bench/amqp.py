#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a participant's promises cost: messages a second and latency, against bare pika, side by side in one run.

    python bench/amqp.py [--workers 1,4,16] [--rounds N] [--messages N] [--at DIRECTORY] [--json]

  hosted  `skynet_exo` with a participant that does nothing and its journal on disk: accepted, answered, confirmed,
          kept for a redelivery
  bare    bench/bare_consumer.py: a file and one fsync, an acknowledgement, a confirmed publish, and no more

A RabbitMQ node of its own on loopback. Workitems of the engine's kind with a kickstart (3 kB), all durable; time runs
from the first publish until the last answer is in the answers' queue. Latency is from publish to answer, at a low
rate, one worker, message by message in turn. Ends with 1 where hosted does less than half of what bare does.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import arena
import pika
import psutil
from contest import Target, medians, rounds, table

from examples.farm.rabbitmq import USER, VHOST, Node
from RuoteAMQP.connection import ENGINE_QUEUE

LIMIT = 2.0
BARE = Path(__file__).with_name("bare_consumer.py")
NOTHING = """\
class ParticipantHandler:
    def handle_wi(self, wid):
        wid.result = True
"""
KINDS = ("hosted", "bare")
# Seconds between two messages of which the latency is taken.
_PAUSE = 0.02


@contextmanager
def running(at: Path) -> Iterator[Node]:
    """A node whose files are below `at`, gone afterwards, also after SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path(tempfile.mkdtemp(prefix="imager-bench-broker-", dir=at))
    node = Node(place)
    try:
        node.start()
        yield node
    finally:
        node.close()
        shutil.rmtree(place, ignore_errors=True)


def configure(place: Path, node: Node) -> None:
    """What participants share, to reach the node."""
    place.mkdir(exist_ok=True)
    text = f"[boss]\namqp_host = {node.address}\namqp_user = {USER}\namqp_pwd = guest\namqp_vhost = {VHOST}\n"
    (place / "skynet.conf").write_text(f"{text}[skynet]\nlog_level = WARNING\n")


class Workers:
    """`count` processes of a kind at a queue of their own; a context in which they run."""

    def __init__(self, node: Node, base: Path, kind: str, count: int) -> None:
        self.queue = f"{kind}_{count}"
        self._node, self._count = node, count
        place = base / self.queue
        configure(place, node)
        (place / "nothing.py").write_text(NOTHING)
        own = place / "own.conf"
        own.write_text(f"[participant]\nname = {self.queue}\ncode = nothing.py\njournal = {place}/journal\n")
        self._command = {
            "hosted": [sys.executable, "-m", "SkyNET.exo", "--config-dir", str(place), str(own)],
            "bare": [sys.executable, str(BARE), node.address, self.queue, ENGINE_QUEUE, str(place)],
        }[kind]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        for _ in range(self._count):
            self._processes.append(subprocess.Popen(self._command, cwd=arena.CHECKOUT, stdin=subprocess.DEVNULL))
        with self._node.connect() as connection:
            wait(lambda: declared(connection, self.queue).consumer_count == self._count, "all workers listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def cpu_seconds(self) -> float:
        """What they have used so far."""
        used = [psutil.Process(process.pid).cpu_times() for process in self._processes]
        return sum(each.user + each.system for each in used)


def wait(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until it is so. Raises RuntimeError when it takes too long."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.005)


def declared(connection: pika.BlockingConnection, queue: str) -> Any:
    """How many messages and consumers the queue has; it is made if it is not there."""
    channel = connection.channel()
    method = channel.queue_declare(queue, durable=True).method
    channel.close()
    return method


def workitem(number: int) -> bytes:
    """What the engine sends for a step of a process of its own."""
    image = {"name": "bench", "kickstart": "part / --size=500\n%packages\n%end\n" * 90, "arch": "armv7hl"}
    fei = {"engine_id": "engine", "wfid": f"20260131-0000-{number}", "subid": "fd0f93f7dbe923b6", "expid": "0_0_1"}
    fields = {"image": image, "params": {"ref": "nothing"}, "dispatched_at": "2026-01-31 20:38:59.898316 UTC"}
    return json.dumps({"fields": fields, "fei": fei, "participant_name": "nothing", "wf_name": "bench"}).encode()


class Bench:
    """The side that gives work and counts answers."""

    def __init__(self, node: Node, base: Path) -> None:
        self._node, self._base = node, base
        self._connection = node.connect()
        self._channel = self._connection.channel()
        declared(self._connection, ENGINE_QUEUE)
        self._number = 0

    def throughput(self, count: int, messages: int, repeats: int) -> dict[str, dict[str, float]]:
        """Seconds for so many messages through `count` workers of each kind."""
        with ExitStack() as stack:
            workers = {
                f"{kind} {count}": stack.enter_context(Workers(self._node, self._base, kind, count)) for kind in KINDS
            }
            acts = {
                name: lambda each=each: self._through(each, messages)  # type: ignore[misc]
                for name, each in workers.items()
            }
            return medians(rounds(repeats, acts))

    def _through(self, workers: Workers, messages: int) -> arena.Run:
        bodies = [self._next() for _ in range(messages)]
        self._channel.queue_purge(ENGINE_QUEUE)
        cpu, began = workers.cpu_seconds(), time.perf_counter()
        for body in bodies:
            self._publish(workers.queue, body)
        wait(lambda: declared(self._connection, ENGINE_QUEUE).message_count >= messages, "all are answered", 300)
        seconds = time.perf_counter() - began
        answered = declared(self._connection, ENGINE_QUEUE).message_count
        if answered != messages:
            raise RuntimeError(f"{messages} messages, and {answered} answers")
        return arena.Run(seconds, workers.cpu_seconds() - cpu, (), 0)

    def latency(self, messages: int) -> dict[str, dict[str, float]]:
        """Seconds from publish to answer for each kind, p50 and p99."""
        self._channel.queue_purge(ENGINE_QUEUE)
        heard: list[float] = []
        self._channel.basic_consume(ENGINE_QUEUE, lambda *_: heard.append(time.perf_counter()), auto_ack=True)
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        with ExitStack() as stack:
            workers = {kind: stack.enter_context(Workers(self._node, self._base, kind, 1)) for kind in KINDS}
            for number in range(messages + 10):
                for kind in KINDS if number % 2 else reversed(KINDS):
                    self._connection.process_data_events(time_limit=_PAUSE)
                    body, began = self._next(), time.perf_counter()
                    self._publish(workers[kind].queue, body)
                    while not heard:
                        self._connection.process_data_events(time_limit=10)
                    if number >= 10:
                        times[kind].append(heard[0] - began)
                    heard.clear()
        found = {kind: statistics.quantiles(each, n=100) for kind, each in times.items()}
        return {kind: {"p50": each[49], "p99": each[98]} for kind, each in found.items()}

    def _next(self) -> bytes:
        self._number += 1
        return workitem(self._number)

    def _publish(self, queue: str, body: bytes) -> None:
        self._channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))


def main() -> int:
    parser = argparse.ArgumentParser(description="measure a hosted participant against bare pika")
    parser.add_argument("--workers", default="1,4,16", help="how many processes, comma-separated")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--messages", type=int, default=300, help="that go through in a round")
    parser.add_argument("--latencies", type=int, default=300, help="messages of which the latency is taken")
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="where broker and journals are")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    good = True
    base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
    try:
        with running(arguments.at) as node:
            bench = Bench(node, base)
            for count in map(int, arguments.workers.split(",")):
                found = bench.throughput(count, arguments.messages, arguments.rounds)
                target = Target(f"hosted {count}", f"bare {count}", LIMIT)
                good = good and target.met(found)
                results[f"{count} workers"] = found
                if not arguments.json:
                    print(f"{count} workers, {arguments.messages} messages ({arguments.rounds} rounds)")
                    print(table(found))
                    print(f"  {rates(found, arguments.messages)}\n  {target.told(found)}", flush=True)
            results["latency"] = found = bench.latency(arguments.latencies)
            if not arguments.json:
                print("from publish to answer, one worker")
                for kind, each in found.items():
                    print(f"  {kind:7} p50 {each['p50'] * 1e3:6.2f} ms   p99 {each['p99'] * 1e3:6.2f} ms")
    finally:
        shutil.rmtree(base)
    if arguments.json:
        print(json.dumps({"results": results, "good": good}, indent=2))
    else:
        print("good" if good else "TOO SLOW")
    return 0 if good else 1


def rates(found: dict[str, dict[str, float]], messages: int) -> str:
    """Messages a second of both, and the ratio."""
    hosted, bare = (messages / each["seconds"] for each in found.values())
    return f"hosted {hosted:.0f}/s, bare {bare:.0f}/s: {hosted / bare:.2f} x the messages (at least {1 / LIMIT:g})"


if __name__ == "__main__":
    sys.exit(main())
