# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m participants`: what each participant reads and writes, as the tables that the documentation has."""

from __future__ import annotations

from importlib import import_module

from imgcore.declaration import Declaration, table

__all__ = ["NAMES", "declarations"]

#: In the order of a process.
NAMES = ("request_image", "build_ks", "build_image", "update_image_status")


def declarations() -> list[Declaration]:
    """What the participants declare; one that does not yet is left out."""
    modules = (import_module(f"participants.{name}") for name in NAMES)
    return [module.DECLARES for module in modules if hasattr(module, "DECLARES")]


if __name__ == "__main__":
    print(table(declarations()), end="")
