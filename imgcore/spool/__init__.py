# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of all jobs, as plain files: read, made, changed, claimed, found, checked."""

from __future__ import annotations

from imgcore.spool.aside import DamagedJob
from imgcore.spool.claim import Claim
from imgcore.spool.record import DamagedRecord, Edit
from imgcore.spool.spool import Spool

__all__ = ["Claim", "DamagedJob", "DamagedRecord", "Edit", "Spool"]
