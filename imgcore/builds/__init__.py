# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds in processes of their own: begun, waited for, begun again, cancelled; whether there is room for one."""

from __future__ import annotations

from imgcore.builds.builds import CLAIMED, Builds, Busy

__all__ = ["CLAIMED", "Builds", "Busy"]
