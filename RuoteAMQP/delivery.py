"""What a participant holds: a delivery on its way to a reply, and what recognises it when it comes again."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

from RuoteAMQP.workitem import Workitem

__all__ = ["Outgoing", "Work", "key_of"]


@dataclass
class Work:
    """A delivery on its way. `tag` is None when the connection that brought it is gone."""

    key: str
    body: bytes
    workitem: Workitem
    tag: int | None
    started: bool = False
    finished: bool = False
    reply: bytes | None = None


@dataclass
class Outgoing:
    """A message for the engine that some thread waits for."""

    body: bytes
    sent: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


def key_of(workitem: Workitem, body: bytes) -> str:
    """What recognises a delivery: the step and the engine's own count of sending it, or the body's digest."""
    fei = workitem.fei
    if fei.wfid and fei.expid:
        return f"{fei}!{workitem.to_h().get('re_dispatch_count')}"
    return hashlib.sha256(body).hexdigest()
