# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts a participant: one file with a class `ParticipantHandler`, one process, one queue.

Usable without the rest of Imager. The names are those that participants of the field import.
"""

from __future__ import annotations

import sys

from RuoteAMQP.workitem import Workitem
from SkyNET import control
from SkyNET.control import ParticipantCtrl, WorkItemCtrl

__all__ = ["ParticipantCtrl", "WorkItemCtrl", "Workitem"]

# Files of the field say `from SkyNET.Control import …`; a second file that differs in case alone could not be checked
# out everywhere.
sys.modules.setdefault("SkyNET.Control", control)
