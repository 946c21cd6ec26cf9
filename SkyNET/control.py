# SPDX-License-Identifier: GPL-2.0-or-later
"""What a handler is told apart from workitems: that it starts, stops or dies, and that a step is cancelled."""

from __future__ import annotations

from configparser import ConfigParser
from typing import Any

__all__ = ["ParticipantCtrl", "WorkItemCtrl"]


class _Control:
    def __init__(self, message: str = "", *, config: ConfigParser | None = None) -> None:
        self.message = message
        self.config = config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def start(self) -> bool:
        """Whether the handler starts, or starts anew with another configuration: `config` is there."""
        return self.message == "start"

    def stop(self) -> bool:
        """Whether the handler should come to an end soon."""
        return self.message == "stop"

    def die(self) -> bool:
        """Whether the process ends now."""
        return self.message == "die"


class ParticipantCtrl(_Control):
    """About the participant: `message` is start, stop or die."""


class WorkItemCtrl(_Control):
    """About a workitem: `message` is cancel, `flavour` None, kill or timeout.

    What is meant is said by `wfid`, `step` (`Workitem.step`) or `image_id`, where that is known: many engines do not
    tell. `workitem` is what this participant holds of it, or the message itself. `who` and `reason` are a person's.
    """

    def __init__(
        self,
        message: str = "",
        *,
        config: ConfigParser | None = None,
        flavour: Any = None,
        wfid: str = "",
        step: str = "",
        image_id: str = "",
        who: str = "",
        reason: str = "",
        workitem: Any = None,
    ) -> None:
        super().__init__(message, config=config)
        self.flavour = flavour
        self.wfid = wfid
        self.step = step
        self.image_id = image_id
        self.who = who
        self.reason = reason
        self.workitem = workitem
