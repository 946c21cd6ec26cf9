# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML files that describe images, in a directory, and the kickstarts that are made of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imgcore.kickstarter import Generated, KickstarterError, Mistake, Request, generate

__all__ = ["mistakes", "one", "put"]


def put(place: Path, files: Mapping[str, str]) -> Path:
    """Write the files below `place`; the path of the first."""
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return place / next(iter(files))


def one(place: Path, files: Mapping[str, str], name: str = "", **how: Any) -> Generated:
    """The kickstart of the one image that the files describe, or that has the name."""
    (found,), _ = generate(Request(put(place, files), name, **how))
    return found


def mistakes(place: Path, files: Mapping[str, str], **how: Any) -> tuple[Mistake, ...]:
    """What is wrong with the files."""
    with pytest.raises(KickstarterError) as caught:
        generate(Request(put(place, files), **how))
    return caught.value.mistakes
