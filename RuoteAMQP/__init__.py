# SPDX-License-Identifier: GPL-2.0-or-later
"""What travels between a workflow engine and its participants; usable without the rest of Imager.

`Participant` and `Launcher` need pika, which is imported when one of them is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from RuoteAMQP.workitem import DictAttrProxy, FlowExpressionId, Workitem

if TYPE_CHECKING:
    from RuoteAMQP.connection import Broker
    from RuoteAMQP.launcher import Launcher
    from RuoteAMQP.participant import Participant

__all__ = ["Broker", "DictAttrProxy", "FlowExpressionId", "Launcher", "Participant", "Workitem"]


def __getattr__(name: str) -> Any:
    if name == "Participant":
        from RuoteAMQP.participant import Participant

        return Participant
    if name == "Launcher":
        from RuoteAMQP.launcher import Launcher

        return Launcher
    if name == "Broker":
        from RuoteAMQP.connection import Broker

        return Broker
    raise AttributeError(name)
