# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstarts from YAML, in both dialects of the field: Mer's and MeeGo's (docs/kickstarter.md).

YAML and scripts are read inside of allowed directories, bounded for any input, and checked against the dialect's
JSON Schema; sections are inherited; each image becomes the text of a kickstart that was read back.
"""

from __future__ import annotations

from imgcore.kickstarter.generate import Generated, Request, generate
from imgcore.kickstarter.mistakes import KickstarterError, Mistake

__all__ = ["Generated", "KickstarterError", "Mistake", "Request", "generate"]
