# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's dnf and rpm as libraries, imported when they are first needed.

They belong to /usr/bin/python3 and have no types, and importing them costs a tenth of a second: everything
that does not install packages works (and is tested) without them.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from imgcore.errors import BuildError

__all__ = ["library"]

_PACKAGES = {"dnf": "dnf", "hawkey": "python3-hawkey", "libdnf": "python3-libdnf", "rpm": "python3-rpm"}
_NO_GPG = types.ModuleType("gpg")
vars(_NO_GPG).update(Context=None, Data=None)


def library(name: str) -> Any:
    """The module `name` (dnf, rpm, dnf.comps, …). Raises BuildError where it is not installed."""
    # dnf would load it, for a fifth of its own time, to import keys; signatures.py does that with rpmkeys.
    sys.modules.setdefault("gpg", _NO_GPG)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = _PACKAGES.get(name.split(".", maxsplit=1)[0], name)
        raise BuildError(
            f"the Python library {name} is not there ({error})", f"install the package {package}", "tool-missing"
        ) from error
