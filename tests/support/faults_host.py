# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs `SkyNET.exo` (`python -m tests.support.faults_host host CONF`) as it is, but past a gate, and so its builds.

The environment says which gate, and as whom: FAULTS_GATE, FAULTS_WHO. The points are between two effects that a crash
or a broken connection can part.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any

from tests.support.faults_gate import arrive

_FINAL = ("DONE", "ERROR", "CANCELLED")


def at(point: str) -> None:
    """Pass the gate."""
    arrive(os.environ["FAULTS_GATE"], os.environ["FAULTS_WHO"], point)


def around(
    owner: Any, name: str, *, before: str = "", after: str = "", when: Callable[..., object] = lambda *_, **__: True
) -> None:
    """Have calls of `owner.name` pass the gate before or after, where `when` of the arguments is so."""
    real = getattr(owner, name)

    def passing(*arguments: Any, **more: Any) -> Any:
        meant = when(*arguments, **more)
        if meant and before:
            at(before)
        result = real(*arguments, **more)
        if meant and after:
            at(after)
        return result

    setattr(owner, name, passing)


def is_last_word(queue: str, body: bytes) -> bool:
    """Whether the message is the last that is told of a job: the answer, or without an engine how it ended."""
    item = json.loads(body)
    if "fei" not in item:
        return False
    if queue == "ruote_workitems":
        return True
    return queue == "update_image_status" and item["fields"]["params"]["status"] in _FINAL


def host() -> None:
    """`SkyNET.exo`."""
    from pika.adapters.blocking_connection import BlockingChannel

    from imgcore.builds import builds
    from imgcore.spool import Spool
    from RuoteAMQP import marks, outbox, participant
    from RuoteAMQP.journal import Journal
    from SkyNET import exo

    def last_letter(_: Any, letter: Any) -> bool:
        return is_last_word(letter.queue, letter.body)

    around(Journal, "accept", before="received", after="spooled")
    around(marks, "take", after="claimed")
    around(BlockingChannel, "basic_ack", after="acknowledged")
    around(Spool, "create", after="job recorded")
    around(Spool, "create_unique", after="job recorded")
    around(Journal, "answer", after="reply queued")
    around(Journal, "post", after="reply queued", when=lambda _, queue, body: is_last_word(queue, body))
    around(Journal, "sent", before="confirm received", after="reply settled", when=last_letter)
    around(Journal, "settled", after="step settled")
    # The broker is away for seconds here, not for an hour.
    participant.pauses = partial(participant.pauses, 0.5)  # type: ignore[attr-defined]
    _hold_what_is_on_the_wire(outbox)
    _start_builds_like_this(builds)
    sys.exit(exo.main(sys.argv[2:]))


def _hold_what_is_on_the_wire(outbox: Any) -> None:
    """Pass the gate when the message has left, and before its confirm is waited for."""
    real = outbox.publish

    def publish(connection: Any, channel: Any, queue: str, body: bytes, **more: Any) -> None:
        flush = channel._flush_output

        def flush_once(*ready: Any) -> None:
            del channel._flush_output
            flush()
            at("reply published")
            flush(*ready)

        if is_last_word(queue, body):
            channel._flush_output = flush_once
        real(connection, channel, queue, body, **more)

    outbox.publish = publish


def _start_builds_like_this(builds: Any) -> None:
    def start(command: list[str], **more: Any) -> Any:
        ours = [__spec__.name, "build"]
        words = (ours if word == "imgcore.builds.builder" else [word] for word in command)
        return subprocess.Popen([*chain.from_iterable(words)], **more)

    builds.subprocess = SimpleNamespace(PIPE=subprocess.PIPE, Popen=start)


def build() -> None:
    """`imgcore.builds.builder`, whose tool needs root."""
    at("process started")
    from imgcore.builds import builder
    from imgcore.executor import choose
    from imgcore.spool import Spool
    from imgcore.worker import Worker
    from tests.support.sandboxes import as_root

    chosen: Any = choose.executor

    def executor(config: Any) -> Any:
        found = chosen(config)
        return dataclasses.replace(found, start=tuple(as_root(found.start)))

    choose.executor = executor
    around(Spool, "start", after="job claimed")
    around(Worker, "build", after="record written")
    del sys.argv[1]
    sys.exit(builder.main())


if __name__ == "__main__":
    {"host": host, "build": build}[sys.argv[1]]()
