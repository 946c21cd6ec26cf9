#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a participant costs that has nothing to do: memory, and time from its start until it takes workitems.

    python bench/idle.py [--rounds N] [--at DIRECTORY] [--json]

The four participants with their files of conf/skynet, `img worker` and `img keeper`, beside `bare`: Python with
pika, connected and consuming. All connect to a RabbitMQ node of the bench's own. Each says that it is ready as
systemd wants to hear it; its resident memory is read a second later. Ends with 1 where one has more than 40 MiB, or
needs more than 0.5 s in the median and in its fastest run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import arena
import psutil
from amqp import configure, running
from contest import medians, rounds

MOST_BYTES, MOST_SECONDS = 40 << 20, 0.5
PARTICIPANTS = ("build_image", "build_ks", "request_image", "update_image_status")
BARE = """\
import os, socket, sys
import pika
host, _, port = sys.argv[1].partition(":")
channel = pika.BlockingConnection(pika.ConnectionParameters(host, int(port))).channel()
channel.queue_declare("bare", durable=True)
channel.basic_consume("bare", print)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
channel.start_consuming()
"""


class Bench:
    """Starts each kind with a home of its own."""

    def __init__(self, base: Path, address: str) -> None:
        self._home = base / "home"
        self._home.mkdir()
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(base / "notify"))
        self._heard.settimeout(60)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "NOTIFY_SOCKET": str(base / "notify"),
            "SKYNET_CONFIG_DIR": str(base / "skynet"),
        }
        img = str(Path(sys.executable).parent / "img")
        host = [sys.executable, "-m", "SkyNET.exo"]
        self.commands: dict[str, Sequence[str]] = {
            "bare": [sys.executable, "-c", BARE, address],
            **{name: [*host, str(arena.CHECKOUT / f"conf/skynet/{name}.conf")] for name in PARTICIPANTS},
            "img worker": [img, "worker"],
            "img keeper": [img, "keeper"],
        }

    def once(self, name: str) -> arena.Run:
        """Start it, wait until it is ready and has settled; `used` is its resident memory."""
        began = time.perf_counter()
        process = subprocess.Popen(
            self.commands[name], cwd=arena.CHECKOUT, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while b"READY=1" not in self._heard.recv(4096):
                pass
            seconds = time.perf_counter() - began
            found = psutil.Process(process.pid)
            cpu = found.cpu_times()
            time.sleep(1)
            return arena.Run(seconds, cpu.user + cpu.system, (), found.memory_info().rss)
        except TimeoutError:
            raise RuntimeError(f"{name} does not become ready") from None
        finally:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Hear nothing more."""
        self._heard.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="measure participants that have nothing to do")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--at", type=Path, default=Path(tempfile.gettempdir()), help="where broker and journals are")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="imager-bench-", dir=arguments.at))
    try:
        with running(arguments.at) as node:
            configure(base / "skynet", node)
            bench = Bench(base, node.address)
            acts = {name: lambda name=name: bench.once(name) for name in bench.commands}  # type: ignore[misc]
            found = medians(rounds(arguments.rounds, acts))
            bench.close()
    finally:
        shutil.rmtree(base)
    good = True
    for name, each in found.items():
        met = name == "bare" or (each["scratch"] <= MOST_BYTES and each["fastest"] <= MOST_SECONDS)
        good = good and met
        if not arguments.json:
            memory, seconds = (each[key] / found["bare"][key] for key in ("scratch", "seconds"))
            print(
                f"{name:20} {each['scratch'] / 2**20:5.1f} MiB ({memory:.2f} x)   ready {each['seconds']:.2f} s "
                f"({seconds:.2f} x), fastest {each['fastest']:.2f} s, CPU {each['cpu_seconds']:.2f} s"
                + ("" if met else "   MISSED")
            )
    if arguments.json:
        results = {name: {"memory": each.pop("scratch"), **each} for name, each in found.items()}
        print(json.dumps({"results": results, "good": good}, indent=2))
    else:
        print(f"at most {MOST_BYTES >> 20} MiB and {MOST_SECONDS:g} s: {'good' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
