# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference: the least that loses nothing. Takes from a queue with bare pika, keeps, answers, forgets.

    python bench/bare_consumer.py ADDRESS QUEUE ANSWERS DIRECTORY

Each message is written to a file and synced (one fsync), acknowledged, published as it came to ANSWERS (persistent,
mandatory, confirmed), and its file removed. It parses nothing, knows no redelivery, and does not connect again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel


def main(address: str, queue: str, answers: str, directory: str) -> None:
    host, _, port = address.partition(":")
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), heartbeat=30))
    connection.channel().queue_declare(queue, durable=True)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=1)
    properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    kept = Path(directory) / f"{os.getpid()}"

    def heard(channel: BlockingChannel, method: Any, _: object, body: bytes) -> None:
        with kept.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        channel.basic_ack(method.delivery_tag)
        channel.basic_publish("", answers, body, properties, mandatory=True)
        kept.unlink()

    channel.basic_consume(queue, heard)
    channel.start_consuming()


if __name__ == "__main__":
    main(*sys.argv[1:])
