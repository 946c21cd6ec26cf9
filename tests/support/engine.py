# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for the workflow engine, as strict as the real one: what that drops is dropped here.

It reads `ruote_workitems` and keeps what it was told. A reply with an error in a shape that the real engine does
not survive is dropped, so that `answer` finds nothing, as a process that hangs for ever. What it sends is not
persistent and of content type application/octet-stream, and cancel messages have a useless `fei`. Steps are sent one
by one with `dispatch`, or by the processes that it runs: launch items that it receives, and `launch`.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pika
import pika.exceptions

from tests.support import pdef
from tests.support.rabbitmq import Node
from tests.support.workflow import Process

__all__ = ["Engine"]

_KNOWN_CLASSES = {"RuntimeError", "StandardError", "ArgumentError", "IOError", "TypeError", "BOSS::RemoteError"}
_numbers = itertools.count(1)


class Engine:
    """The engine, on a thread of its own; a context. It outlives restarts of the broker."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stop = False
        self._news = threading.Condition()
        self._steps: dict[str, dict[str, Any] | None] = {}
        self.ignored: list[dict[str, Any]] = []
        self.dropped: list[bytes] = []
        self.launched: list[bytes] = []
        self.registered: dict[str, str] = {}
        self.properties: list[pika.BasicProperties] = []
        self.processes: dict[str, Process] = {}
        self._outgoing: deque[tuple[str, bytes, bool]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._up = threading.Event()

    def __enter__(self) -> Engine:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._thread.join(20)

    # --- single steps

    def dispatch(
        self,
        queue: str,
        fields: dict[str, Any] | None = None,
        *,
        persistent: bool = False,
        **params: Any,
    ) -> str:
        """Send a step's workitem; returns the process' id."""
        wfid = _wfid()
        with self._news:
            self._steps[wfid] = None
        item = {
            "fields": {
                **(fields or {}),
                "params": {"ref": queue, **params},
                "dispatched_at": "2026-11-23 20:38:59 UTC",
            },
            "fei": {"engine_id": "engine", "wfid": wfid, "subid": "fd0f93f7dbe923b6", "expid": "0_0_1"},
            "participant_name": queue,
            "re_dispatch_count": 0,
            "wf_name": "first",
            "wf_revision": "1",
        }
        self.send(queue, json.dumps(item).encode(), persistent=persistent)
        return wfid

    def cancel(self, queue: str, flavour: str | None = None) -> None:
        """Cancel a step, as uselessly as the engine does."""
        message = {"cancel": True, "fei": "#<Ruote::HashWrapper:0x00007fcc6b69b330>", "flavour": flavour}
        self.send(queue, json.dumps(message).encode())

    def send(self, queue: str, body: bytes, *, persistent: bool = False) -> None:
        """Put a body into a participant's queue."""
        connection = self._node.connect()
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, _properties(persistent))
        connection.close()

    def answer(self, wfid: str, within: float = 60) -> dict[str, Any]:
        """The first reply to the step that the engine accepted. Raises TimeoutError: the process hangs."""
        end = time.monotonic() + within
        with self._news:
            while (found := self._steps[wfid]) is None:
                if not self._news.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError(f"process {wfid} hangs")
            return found

    def wait_for(self, what: str, count: int = 1, within: float = 60) -> list[Any]:
        """Wait until the list of that name (`launched`, `dropped`, `ignored`) has so many entries."""
        end = time.monotonic() + within
        with self._news:
            while len(getattr(self, what)) < count:
                if not self._news.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError(f"only {len(getattr(self, what))} of {count} {what}")
            return list(getattr(self, what))

    # --- processes

    def register(self, name: str, queue: str | None = None) -> None:
        """Send the steps of this name, or of those that match it, to the queue."""
        with self._news:
            self.registered[name] = queue or name

    def launch(
        self, process: list[Any] | str, fields: dict[str, Any] | None = None, variables: dict[str, Any] | None = None
    ) -> str:
        """Start a process from its tree or its Ruby text; returns its id."""
        with self._news:
            tree = pdef.read(process) if isinstance(process, str) else process
            return self._start(tree, fields, variables)

    def ended(self, wfid: str, within: float = 120) -> Process:
        """The process when it is over, or stays where it is with an error. Raises TimeoutError: it hangs."""
        end = time.monotonic() + within
        with self._news:
            while (found := self.processes[wfid]).state == "running":
                if not self._news.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError(f"process {found.name} hangs at {', '.join(found.waiting())}")
            return found

    def cancel_process(self, wfid: str) -> None:
        """Cancel a whole process: its steps hear of it, as uselessly as ever, and it is over."""
        with self._news:
            self.processes[wfid].cancel()
            self._news.notify_all()

    def queue_of(self, name: str) -> str | None:
        """The queue of the participant; None where only the engine's own store takes the step, for ever."""
        return next((q for pattern, q in self.registered.items() if re.search(f"^{pattern}$", name)), None)

    def deliver(self, queue: str, message: dict[str, Any], persistent: bool) -> None:
        """Send what a process says to a participant, as soon as there is a connection."""
        self._outgoing.append((queue, json.dumps(message).encode(), persistent))

    def registered_by(self, workitem: dict[str, Any]) -> None:
        """Do what a step `boss_register` asks for."""
        fields = workitem["fields"]
        if fields["params"].get("action") == "unregister":
            self.registered.pop(fields["name"], None)
        else:
            self.registered[fields["name"]] = fields["queue"]

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something done after a time."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(_numbers), what))

    def _start(self, tree: Any, fields: dict[str, Any] | None, variables: dict[str, Any] | None) -> str:
        wfid = _wfid()
        self.processes[wfid] = Process(self, wfid, tree, fields or {}, variables or {})
        return wfid

    # --- what it reads

    def _run(self) -> None:
        while not self._stop:
            try:
                connection = self._node.connect()
                channel = connection.channel()
                channel.queue_declare("ruote_workitems", durable=True)
                channel.basic_consume("ruote_workitems", self._received)
                self._up.set()
                while not self._stop:
                    self._due()
                    while self._outgoing:
                        queue, body, persistent = self._outgoing[0]
                        channel.basic_publish("", queue, body, _properties(persistent))
                        self._outgoing.popleft()
                    connection.process_data_events(time_limit=0.02 if self.processes else 0.1)
                connection.close()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)

    def _due(self) -> None:
        with self._news:
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
                self._news.notify_all()

    def _received(self, channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        with self._news:
            self.properties.append(properties)
            self._take(body)
            self._news.notify_all()
        channel.basic_ack(method.delivery_tag)

    def _take(self, body: bytes) -> None:
        try:
            item = json.loads(body)
        except ValueError:
            self.dropped.append(body)
            return
        if isinstance(item, dict) and isinstance(item.get("fei"), dict) and isinstance(item.get("fields"), dict):
            self._reply(item, body)
        elif isinstance(item, dict) and (item.get("definition") or item.get("process_definition")):
            self.launched.append(body)
            self._launch(item)
        else:
            self.dropped.append(body)

    def _reply(self, item: dict[str, Any], body: bytes) -> None:
        wfid = item["fei"]["wfid"]
        if "error" in item and not _survivable(item["error"]):
            self.dropped.append(body)
        elif process := self.processes.get(wfid):
            if not process.receive(item):
                self.ignored.append(item)
        elif self._steps.get(wfid, item) is not None:
            self.ignored.append(item)
        else:
            self._steps[wfid] = item

    def _launch(self, item: dict[str, Any]) -> None:
        tree = item.get("definition") or item.get("process_definition")
        if isinstance(tree, str):
            try:
                tree = json.loads(tree) if tree.lstrip().startswith("[") else pdef.read(tree)
            except ValueError:
                # Text that this cannot read, but the engine can: it is kept in `launched` only.
                return
        self._start(
            tree,
            item.get("fields") or item.get("workitem_fields"),
            item.get("variables") or item.get("process_variables"),
        )


def _wfid() -> str:
    return f"20261123-2038-{next(_numbers):06d}"


def _properties(persistent: bool) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/octet-stream",
        delivery_mode=2 if persistent else 1,
        priority=0,
        correlation_id="",
    )


def _survivable(error: Any) -> bool:
    if isinstance(error, dict):
        return error.get("class") in _KNOWN_CLASSES and isinstance(error.get("message"), str)
    return isinstance(error, str)
