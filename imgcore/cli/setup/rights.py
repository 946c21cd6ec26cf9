# SPDX-License-Identifier: GPL-2.0-or-later
"""What each role may at the broker, and no more: docs/participants.md explains it. A leaf.

Patterns are RabbitMQ's: regular expressions that names of queues and exchanges have to match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FARM", "ROLES", "Rights", "of"]

#: The queue that who has the role takes; "" for those who take none.
ROLES = {
    "request_image": "request_image",
    "build_ks": "build_ks",
    "build_image": "build_image",
    "update_image_status": "update_image_status",
    "worker": "imager.build",
    "keeper": "update_image_status",
    "submitter": "",
    "operator": "",
    "launcher": "",
}
#: The roles of a farm whose machines all use one user.
FARM = ("worker", "keeper", "submitter", "operator")

_EAR = r"amq\.gen-.*"
_DEFAULT = r"amq\.default"
_CONTROL = r"skynet\.control"


@dataclass(frozen=True)
class Rights:
    """Patterns of what may be declared, written to and read from."""

    configure: str
    write: str
    read: str


def of(roles: Iterable[str]) -> Rights:
    """The rights of who has all of these roles."""
    configure: list[str] = []
    write: list[str] = []
    read: list[str] = []
    for role in roles:
        if queue := ROLES[role]:
            configure += [re.escape(queue), r"skynet\.(control|taken\..*)", _EAR]
            write += [_DEFAULT, _EAR]
            read += [re.escape(queue), _CONTROL, _EAR]
        elif role == "operator":
            configure += [r"skynet\.(control|cancelled\..*)"]
            write += [_CONTROL]
        elif role == "submitter":
            # Whoever comes first declares the queue.
            configure += [re.escape(ROLES["worker"])]
            write += [_DEFAULT]
        else:
            write += [_DEFAULT]
    return Rights(_pattern(configure), _pattern(write), _pattern(read))


def _pattern(alternatives: Iterable[str]) -> str:
    """Matches each of them and nothing else; the empty name alone where there are none."""
    told = list(dict.fromkeys(alternatives))
    return f"^({'|'.join(told)})$" if len(told) > 1 else f"^{''.join(told)}$"
