# SPDX-License-Identifier: GPL-2.0-or-later
"""A broker's machine as its administrator has it: RabbitMQ's command, `img`, and a place for skynet.conf."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import page
from tests.support.rabbitmq import Node

__all__ = ["environment", "made", "root"]


def environment(node: Node, etc: Path) -> dict[str, str]:
    """What root has there. Below Debian's wrapper, which would change the user; the node's cookie is in its home."""
    path = f"{Path(sys.executable).parent}:/usr/lib/rabbitmq/bin:{os.environ['PATH']}"
    return {**node.environment, "PATH": path, "HOME": str(node.place), "SKYNET_CONFIG_DIR": str(etc)}


def root(block: page.Block, node: Node, etc: Path) -> list[str]:
    """Type a block there, with `etc` for /etc/skynet; what its commands said."""
    lines = tuple(line.replace("/etc/skynet", str(etc)) for line in block.lines)
    return page.run(page.Block(block.page, block.heading, lines), etc, environment(node, etc))


@contextmanager
def made(node: Node, vhost: str, user: str) -> Iterator[None]:
    """Vhost and user are there after the `with` no longer, if they are made inside."""
    try:
        yield
    finally:
        for what, name in (("vhost", vhost), ("user", user)):
            if name in node.control(f"list_{what}s").split():
                node.control(f"delete_{what}", name)
