# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstarts: read, changed without loss, and turned into a plan for the built-in creator.

`read` tells all mistakes at once, each with its line; `change` adds, replaces and takes out without touching the
rest; `plan` decides what is built; `redact` makes a text fit to be published.
"""

from __future__ import annotations

from imgcore.kickstart import offline  # noqa: F401 - first: it has a say in what pykickstart loads
from imgcore.kickstart.augment import Changed, Changes, augment, change
from imgcore.kickstart.decode import MOST_BYTES, decode
from imgcore.kickstart.mistakes import KickstartError, Mistake, Place
from imgcore.kickstart.model import Kickstart
from imgcore.kickstart.options import release_of
from imgcore.kickstart.plan import plan
from imgcore.kickstart.read import flat, header, read
from imgcore.kickstart.redact import redact, redact_diff
from imgcore.kickstart.store import stored
from imgcore.kickstart.tokens import with_defaults

__all__ = [
    "MOST_BYTES",
    "Changed",
    "Changes",
    "Kickstart",
    "KickstartError",
    "Mistake",
    "Place",
    "augment",
    "change",
    "decode",
    "flat",
    "header",
    "plan",
    "read",
    "redact",
    "redact_diff",
    "release_of",
    "stored",
    "with_defaults",
]
