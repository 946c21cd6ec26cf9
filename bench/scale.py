#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a farm of a thousand workers, each measured alone; docs/performance.md has the arithmetic.

    python bench/scale.py [--connections N] [--messages N] [--at DIRECTORY] [--json]

  connections  what a worker holds at the broker (a connection, its consumer, its queue of the control exchange):
               bytes of the broker for each, and seconds from one word to all until each has it
  broker       messages a second through it, durable and confirmed one by one, by bare consumers (bench/amqp.py)
  once         asking the broker who was first with a step: answers a second on one connection, and the bytes
               of the broker that each takes for an hour
  keeper       what workers tell, written to the spool by `img keeper`: states a second
  spool        records replaced a second by 1, 4 and 16 processes, each with a job of its own, without any broker

A node with one scheduler, so that it uses one processor. There is no target.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from amqp import Bench as Messages
from amqp import declared, running, wait
from farm import KICKSTART, REQUEST, file_of
from farm import Bench as Farm

from examples.farm.rabbitmq import Node
from imgcore.cli import farm
from imgcore.job import Status
from imgcore.spool import Spool
from RuoteAMQP import marks
from RuoteAMQP.control import EXCHANGE

_JOBS, _STEPS = 50, 1000
# Seconds after which the broker's memory is what it stays.
_SETTLED = 10


def connections(node: Node, count: int) -> dict[str, float]:
    """The broker's memory for each of `count` workers that wait, and how fast all hear a word."""
    before = _memory()
    with ExitStack() as stack:
        queues = []
        for _ in range(count):
            connection = stack.enter_context(node.connect())
            channel = connection.channel()
            channel.queue_declare("idle", durable=True)
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume("idle", print)
            channel = connection.channel()
            channel.exchange_declare(EXCHANGE, "fanout", durable=True)
            queues.append(channel.queue_declare("", exclusive=True).method.queue)
            channel.queue_bind(queues[-1], EXCHANGE)
        time.sleep(_SETTLED)
        after = _memory()
        channel.confirm_delivery()
        began = time.perf_counter()
        # Confirmed when it is in all queues.
        channel.basic_publish(EXCHANGE, "", b"{}")
        seconds = time.perf_counter() - began
    return {"bytes": (after - before) / count, "alone": before, "heard by all": seconds}


def _memory() -> int:
    """Resident bytes of the node, which is the only one that this process has started."""
    started = psutil.Process().children(recursive=True)
    return sum(each.memory_info().rss for each in started if each.name().startswith("beam"))


def broker(node: Node, base: Path, messages: int) -> float:
    """Messages a second through 16 bare consumers."""
    return messages / Messages(node, base).throughput(16, messages, 3)["bare 16"]["seconds"]


def once(node: Node) -> dict[str, float]:
    """Steps a second that one worker asks the broker for, and what the broker keeps of each for an hour."""
    before = _memory()
    with node.connect() as connection:
        rate = _rate(_STEPS, lambda number: marks.take(connection, f"bench-{number}", 1))
    time.sleep(_SETTLED)
    return {"rate": rate, "bytes": (_memory() - before) / _STEPS}


def keeper(node: Node, base: Path, messages: int) -> float:
    """States a second that a keeper writes: the progress of jobs that others build, then the end of one."""
    bench = Farm(node, base, _JOBS)
    settings = bench.settings("keeper")
    kept, ids = bench.recorded(settings)
    with bench.started(("keeper", "--config", file_of(settings))), node.connect() as connection:
        wait(lambda: declared(connection, farm.STATUS_QUEUE).consumer_count == 1, "the keeper listens")
        channel = connection.channel()
        began = time.perf_counter()
        for number in range(messages + 1):
            status = Status.BUILDING if number < messages else Status.DONE
            image = {"image_id": ids[number % _JOBS], "phase": "install", "progress": number / messages}
            fields = {"image": image, "params": {"status": str(status), "forget": True}}
            fei = {"wfid": image["image_id"], "subid": status.name, "expid": f"1.{number}"}
            channel.basic_publish("", farm.STATUS_QUEUE, json.dumps({"fields": fields, "fei": fei}).encode())
        wait(lambda: len(kept.ids(Status.DONE)) == 1, "all is written", 600)
        return messages / (time.perf_counter() - began)


def spool(base: Path, processes: int) -> float:
    """Records replaced a second by so many processes."""
    place = base / f"spool-{processes}"
    made = Spool(place)
    ids = [made.create_unique("bench", REQUEST.job("none"), kickstart=KICKSTART.encode()).image_id for _ in range(16)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return sum(pool.starmap(_replace, [(str(place), each) for each in ids[:processes]], chunksize=1))


def _replace(place: str, image_id: str) -> float:
    with Spool(Path(place)).start(image_id, "bench") as claim:
        rate = _rate(300, lambda number: claim.update(progress=number / 1000))
        claim.finish(Status.DONE)
    return rate


def _rate(count: int, act: Callable[[int], Any]) -> float:
    began = time.perf_counter()
    for number in range(count):
        act(number)
    return count / (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description="measure the parts of a large farm")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="where broker and spools are")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    # Five file descriptors for each connection here, one in the broker.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(allowed, 5 * arguments.connections + 1000), allowed))
    base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
    try:
        with running(arguments.at) as node:
            # The memory first: what the node was given once, it keeps for later.
            results["once"] = once(node)
            results["connections"] = connections(node, arguments.connections)
            results["broker"] = broker(node, base, arguments.messages)
            results["keeper"] = keeper(node, base, arguments.messages)
        results["spool"] = {str(count): spool(base, count) for count in (1, 4, 16)}
    finally:
        shutil.rmtree(base)
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        held = results["connections"]
        print(f"broker: {held['alone'] / 2**20:.0f} MiB, and {held['bytes'] / 1024:.0f} KiB for a worker that waits")
        print(f"a word to {arguments.connections} workers: in the queue of each after {held['heard by all']:.2f} s")
        print(f"broker: {results['broker']:.0f} durable messages a second, there and back")
        asked = results["once"]
        print(
            f"first with a step: {asked['rate']:.0f} answers a second, {asked['bytes'] / 1024:.0f} KiB kept for each"
        )
        print(f"keeper: {results['keeper']:.0f} states a second")
        for count, rate in results["spool"].items():
            print(f"spool: {rate:.0f} records a second by {count} processes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
